/** The ways from a stage to the lenses, beside its sheet. */
import { LENSES, openLens } from "./lens_state";
import * as state from "./state";

export function LensLinks() {
  if (!state.step.value || state.step.value.isGiven) return null;
  return (
    <section class="lens-links">
      <h2>Lenses</h2>
      {LENSES.map((one) => (
        <button key={one.name} title={one.what} onClick={() => openLens(one.name)}>
          {one.title}
        </button>
      ))}
    </section>
  );
}
