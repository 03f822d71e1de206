"""Why a step is there, in one sentence for beginners, where several steps or models share it: `Step.why`."""

from __future__ import annotations

ROW = "training gave each token a row of numbers; tokens that are used alike get similar rows"
NORMAL = "each token's numbers get the same scale, so that no step is upset by large or small ones"
GAIN = "training decides which of the columns count for more, and which for less"
INPUT = "what is known of each token so far: the stream of numbers that every block reads and adds to"
THREE = "one matrix makes three things of each token: what it asks, what it answers to, what it offers"
SPLIT = {
    "queries": "a query asks: what does this token look for, in itself and in the tokens before?",
    "keys": "a key answers to queries: the better the two match, the more this token is looked at",
    "values": "a value is what a token offers to those that look at it",
}
ROTATED = "a pair that turns with the position lets a score depend on how far apart two tokens stand"
SCORES = "a query and a key that match give a large number; a token ahead is masked, as nobody knows it yet"
WEIGHTS = "scores become shares that add up to 1: whom each token looks at, and how much"
OUTPUT = "what the heads found apart is mixed into one row that can be added to the token's own"
ADDED = "added, not put in its place: what was known stays, and learning reaches the blocks before on a short way"
HIDDEN = "looks at each token alone: every column looks for one pattern in the token's numbers"
GELU = "patterns that are there pass, the others are held back; without that the MLP would be one matrix"
MLP_OUTPUT = "each pattern that was found adds to the token what training tied to it"
ADDED_AGAIN = "added again: a block only has to learn what to change"
LAST = "only the last token has to say what comes next, and by now it knows what it needs of the others"
SURPRISE = "learning makes it small: the less the model expected the token that came, the larger it is"

# the ladder's own
WINDOW = "several tokens side by side, so that the order of the last ones counts"
PATTERNS = "every column looks for one pattern in the window"
WINDOW_S_LAST = "the window that ends with the last token decides what comes next"
MISSED = "learning makes it small: it is the share that went to tokens that didn't come"
DIE = "a die remembers nothing: one weight for each token, whatever stood before"
SHARES = "shares that add up to 1: how often the die shows each token"
LOGS = "every model here ends with logits, and these are the logits of such shares"
FREE = "a score may be any number, so learning can move it freely, also below 0"
EXP = "exp makes every score positive, and shares of their sum add up to 1"
ONE = "the last token alone decides what comes next"
TABLE = "the table says what follows what"
