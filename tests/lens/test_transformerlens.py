"""The lenses against TransformerLens (caches and hooks) and against Hugging Face's hidden states, on random GPT-2s."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import require
from models import ODD_HEADS, SMALL, WIDE_HEADS, random_ids, random_matrices
from sheetgpt import lens, load_model
from sheetgpt.lens.stream import stream_of
from sheetgpt.weights.folder import write_weights
from transformers_model import huggingface_model, local_tokenizer

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]  # it and what it imports warn of their own code
TOLERANCE = 1e-4
CASES = {"small": (SMALL, 7), "odd heads": (ODD_HEADS, 11), "wide heads": (WIDE_HEADS, 12)}


class Case:
    """A random GPT-2 in both programs, and two prompts of one length."""

    def __init__(self, config, count, folder):
        require("torch", "oracle")
        require("transformer_lens", "oracle")
        from transformer_lens.model_bridge import TransformerBridge

        matrices = random_matrices(config)
        if config is WIDE_HEADS:  # deviations of 0.3 would make numbers of hundreds at this width
            matrices = {name: m if name.endswith(("_g", "_b")) else m * np.float32(0.3) for name, m in matrices.items()}
        write_weights(folder / "w", config, matrices)
        self.model = load_model(folder / "w", "float32")
        self.ids, self.others = random_ids(config, count), random_ids(config, count)
        self.others[1] = (self.ids[1] + 1) % config.n_vocab
        self.others[-2] = (self.ids[-2] + 3) % config.n_vocab
        self.trace, self.other = (self.model.run(token_ids=ids) for ids in (self.ids, self.others))
        self.huggingface = huggingface_model(config, matrices)
        self.huggingface.config.architectures = ["GPT2LMHeadModel"]
        tokenizer = local_tokenizer(folder, config.n_vocab)
        self.bridge = TransformerBridge.boot_transformers("gpt2", hf_model=self.huggingface, tokenizer=tokenizer)
        self.bridge.enable_compatibility_mode(no_processing=True)

    def cache(self, ids):
        torch = require("torch", "oracle")
        with torch.no_grad():
            return self.bridge.run_with_cache(torch.tensor([ids]))[1]

    def logits_with(self, ids, name, change) -> np.ndarray:  # [n_vocab], the last row
        """The last logits where a hook changed one activation."""
        torch = require("torch", "oracle")

        def hook(activation, hook=None):
            changed = activation.clone()
            change(changed)
            return changed

        with torch.no_grad():
            return self.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=[(name, hook)])[0, -1].numpy()


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def case(request, tmp_path_factory):
    return Case(*CASES[request.param], tmp_path_factory.mktemp("lens"))


def agree(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=0, atol=TOLERANCE)


def shares(logits) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# ------------------------------------------------------------------------------------------------ the logit lens


def hidden_states(case) -> list[np.ndarray]:  # each [T, n_vocab]
    """The hand-written logit lens: Hugging Face's final norm and head on its own hidden states."""
    torch = require("torch", "oracle")
    model = case.huggingface
    with torch.no_grad():
        found = model(torch.tensor([case.ids]), output_hidden_states=True)
        *states, last = found.hidden_states  # the last one is behind the final norm already
        heads = [model.lm_head(model.transformer.ln_f(state)) for state in states]
        return [logits[0].double().numpy() for logits in [*heads, model.lm_head(last)]]


def test_the_logit_lens_is_the_hand_written_one_on_hidden_states(case):
    found, token = lens.logit_lens(case.trace, 5), 5
    for layer, logits in enumerate(hidden_states(case)):
        assert found.best.iloc[:, layer].tolist() == [f"#{i}" for i in logits.argmax(1)]
        agree(found.best_probability.iloc[:, layer], shares(logits).max(1))
        agree(found.probability.iloc[:, layer], shares(logits)[:, token])
        assert found.rank.iloc[:, layer].tolist() == (1 + (logits > logits[:, [token]]).sum(1)).tolist()


def test_the_logit_lens_of_sublayers_is_transformerlens_accumulated_residual(case):
    torch = require("torch", "oracle")
    cache = case.cache(case.ids)
    states = cache.accumulated_resid(incl_mid=True, apply_ln=False)[:, 0]  # before each sublayer, and at the end
    with torch.no_grad():
        logits = case.bridge.unembed(case.bridge.ln_final(states)).double().numpy()
    found = lens.logit_lens(case.trace, 5, sublayers=True)
    agree(found.probability.T, shares(logits)[:, :, 5])


# ------------------------------------------------------------------------------------------------ attribution


def test_attribution_is_transformerlens_components_through_its_centring_and_scale(case):
    """TransformerLens leaves the final gain in the norm: it is part of the direction here, as when it is folded."""
    torch = require("torch", "oracle")
    cache, config = case.cache(case.ids), case.model.config
    a, b = 3, 8
    wte, gain = (torch.tensor(case.model.weights[name]) for name in ("model_wte", "model_ln_f_g"))
    direction = (wte[a] - wte[b]) * gain[0]

    def adds(stack):  # [components, 1, T, d]
        return (cache.apply_ln_to_stack(stack, layer=-1)[:, 0, -1] @ direction).numpy()

    found = lens.attribute(case.trace, a, b)
    heads = found.parts[found.parts["kind"] == "head"]["adds"]
    z = [cache[f"blocks.{i}.attn.hook_z"][0, -1] for i in range(config.n_layer)]  # [H, s]
    outputs = [torch.tensor(case.model.weights[f"model_h{i}_attn_c_proj_w"]) for i in range(config.n_layer)]
    size = config.head_size
    written = [
        z[i][h] @ outputs[i][h * size : (h + 1) * size] for i in range(config.n_layer) for h in range(config.n_head)
    ]
    count = len(case.ids)
    agree(heads, adds(torch.stack(written)[:, None, None].expand(-1, 1, count, -1)))
    mlps = found.blocks["MLP"] + found.blocks["MLP bias"]
    agree(mlps, adds(torch.stack([cache[f"blocks.{i}.hook_mlp_out"] for i in range(config.n_layer)])))
    attention = found.blocks.filter(like="head").sum(axis=1) + found.blocks["attention bias"]
    agree(attention, adds(torch.stack([cache[f"blocks.{i}.hook_attn_out"] for i in range(config.n_layer)])))
    embeddings = found.parts[found.parts["block"].isna()]["adds"][:2]
    agree(embeddings, adds(torch.stack([cache["hook_embed"], cache["hook_pos_embed"].expand(1, -1, -1)])))


# ------------------------------------------------------------------------------------------------ ablation


def test_ablation_is_transformerlens_hooks(case):
    found, config, token = lens.ablate(case.trace, 4), case.model.config, 4
    before = case.trace.array("logits")[:, 0]
    for block in range(config.n_layer):
        for head in range(config.n_head):
            after = case.logits_with(case.ids, f"blocks.{block}.attn.hook_z", lambda z, h=head: z[:, :, h].zero_())
            agree(found.logit.loc[block, f"head {head}"], after[token] - before[token])
            agree(found.probability.loc[block, f"head {head}"], shares(after)[token] - shares(before)[token])
            assert found.prediction.loc[block, f"head {head}"] == f"#{after.argmax()}"
        after = case.logits_with(case.ids, f"blocks.{block}.hook_mlp_out", lambda x: x.zero_())
        agree(found.logit.loc[block, "MLP"], after[token] - before[token])


def test_mean_ablation_puts_the_mean_over_all_positions_in_its_place(case):
    torch = require("torch", "oracle")
    documents = [random_ids(case.model.config, count, seed) for seed, count in enumerate((3, 5, 3, 1))]
    means = lens.corpus_means(case.trace, documents)
    caches = [case.cache(ids) for ids in documents]
    name = "blocks.1.attn.hook_z"
    mean = torch.cat([cache[name][0] for cache in caches]).mean(0)  # [H, s]
    found = lens.ablate(case.trace, 4, means=means, what="block_1 head 0")

    def put(z):
        z[:, :, 0] = mean[0]

    after = case.logits_with(case.ids, name, put)
    agree(found.logit.iloc[0, 0], after[4] - case.trace.array("logits")[4, 0])
    assert means.n_positions == 12


# ------------------------------------------------------------------------------------------------ patching

HOOKS = {"attention": "hook_attn_out", "MLP": "hook_mlp_out"}


def patched(case, name, cache, *, position, a, b, head=None):
    def put(x):
        at = (0, position) if head is None else (0, position, head)
        x[at] = cache[name][at]

    logits = case.logits_with(case.others, name, put)
    return logits[a] - logits[b]


def test_patching_is_transformerlens_hooks(case):
    cache, positions = case.cache(case.ids), range(len(case.ids))
    found = lens.patch(case.trace, case.other, metric="logit difference #3 #8").patches.set_index(["stage", "position"])
    for write in stream_of(case.trace).writes:
        name = f"blocks.{write.block}.{HOOKS[write.kind]}"
        for position in positions:
            agree(
                found.loc[(write.made.name, position), "metric"],
                patched(case, name, cache, position=position, a=3, b=8),
            )
    for block, writes in stream_of(case.trace).blocks.items():
        name = f"blocks.{block}.hook_resid_post"
        for position in positions:
            stage = writes[-1].after.name
            agree(found.loc[(stage, position), "metric"], patched(case, name, cache, position=position, a=3, b=8))


def test_patching_heads_is_transformerlens_hooks(case):
    cache = case.cache(case.ids)
    found = lens.patch(case.trace, case.other, ["block_1_step_8", "block_0_step_5_values"], "logit difference #3 #8")
    names = {"block_1_step_8": "blocks.1.attn.hook_z", "block_0_step_5_values": "blocks.0.attn.hook_v"}
    for row in found.patches.itertuples():
        theirs = patched(case, names[row.stage], cache, position=row.position, a=3, b=8, head=row.head)
        agree(row.metric, theirs)
