/** The word that is learned: its letters with what should come after each, their penalties; the words beside it. */
import { computed } from "@preact/signals";
import { inkOn, css, share } from "./colours";
import type { Model } from "./forward";
import * as learning from "./learning";
import * as numbers from "./numbers";
import * as state from "./state";
import { shown } from "./tokens";
import { lossTable, penaltyOfModel, runOf, type LossRow } from "./training";

const trained = (): Model => ({ steps: state.facts.trainingSteps, weights: learning.weights.value! });

/** The word's predictions by the weights as they stand. */
const rows = computed<readonly LossRow[]>(() => {
  const [model, example] = [trained(), learning.wordExample.value];
  return example ? lossTable(model, { example, values: runOf(model, example) }) : [];
});
const mean = (found: readonly LossRow[]): number => found.reduce((sum, { penalty }) => sum + penalty, 0) / found.length;

// ------------------------------------------------------------------------------------------------ left

export function LearnWord() {
  const word = learning.word.value;
  return (
    <section aria-label="what is learned from">
      <h2>
        The word <i>type another one above</i>
      </h2>
      <Targets />
      <div class="buttons which" role="group" aria-label="learn from">
        <button class={learning.together.value ? "" : "on"} aria-pressed={!learning.together.value} onClick={() => (learning.together.value = false)}>
          learn this word
        </button>
        <button class={learning.together.value ? "on" : ""} aria-pressed={learning.together.value} onClick={() => (learning.together.value = true)}>
          all {learning.words.value.length} words
        </button>
      </div>
      <Words />
      {word && learning.together.value && learning.wordExample.value && !learning.isListed(word) && (
        <button class="link" onClick={() => learning.addWord(word)}>
          Add “{shown(word.text)}”
        </button>
      )}
    </section>
  );
}

/** Each letter and, under it, what should come next, tinted by how likely the model thinks it. */
function Targets() {
  const now = state.theme.value;
  return (
    <div class="targets">
      {rows.value.map(({ position, context, target, probability }) => {
        const fill = share(now, probability);
        return (
          <div key={position} title={`after ${shown(context)} comes ${shown(target)}: ${numbers.percent(probability)}`}>
            <span class="die given">{shown(context)}</span>
            <i aria-hidden="true">↓</i>
            <span class="die" style={{ background: css(fill), color: inkOn(now, fill) }}>
              {shown(target)}
            </span>
          </div>
        );
      })}
    </div>
  );
}

/** The words that are learned together, each with its mean penalty. */
function Words() {
  if (!learning.together.value) return null;
  return (
    <ul class="word-list">
      {learning.words.value.map((word, i) => {
        const run = learning.next.value?.runs[i];
        return (
          <li key={word.text}>
            <button class="link" title="look at it" onClick={() => (state.facts.model.hasText ? state.type(word.text, true) : state.give(null, word.ids))}>
              {shown(word.text)}
            </button>
            <span>{run && numbers.cell(mean(lossTable(trained(), run)), 3)}</span>
            <button class="remove" aria-label={`leave ${word.text} out`} onClick={() => learning.removeWord(word)}>
              ×
            </button>
          </li>
        );
      })}
    </ul>
  );
}

// ------------------------------------------------------------------------------------------------ middle

/** Each prediction of the word: what stood before, what came, how probable the model thought it. */
export function Positions() {
  const found = rows.value;
  const most = Math.max(...found.map(({ penalty }) => penalty), 1e-9);
  return (
    <section class="positions" aria-label="penalties">
      <table>
        <thead>
          <tr>
            <th>position</th>
            <th class="token">context</th>
            <th class="token">target</th>
            <th>probability p</th>
            <th>penalty {penaltyOfModel(trained()).inShort.replace("-", "−")}</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {found.map(({ position, context, target, probability, penalty }) => (
            <tr key={position}>
              <td>{position}</td>
              <td class="token">{shown(context)}</td>
              <td class="token target">{shown(target)}</td>
              <td>{numbers.cell(probability, 4)}</td>
              <td>{numbers.cell(penalty, 4)}</td>
              <td class="bar">
                <span style={{ width: `${(100 * penalty) / most}%` }} />
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <td colSpan={4}>mean: the word's loss</td>
            <td>{found.length ? numbers.cell(mean(found), 5) : ""}</td>
            <td />
          </tr>
        </tfoot>
      </table>
    </section>
  );
}

