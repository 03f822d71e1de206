/** The views that the top bar leads to; each is shown where the page has what it needs. */
import type { ComponentType } from "preact";
import * as state from "./state";
import type { View } from "./state";
import { Attention, hasAttention } from "./attention";
import { Compare } from "./compare";
import { Explore } from "./explore";
import { Generate } from "./generate";
import { Learn } from "./learn";
import { Lenses } from "./lenses";

interface ViewEntry {
  readonly name: View;
  readonly title: string;
  readonly isThere: () => boolean;
  readonly component: ComponentType;
}

const hasLogits = (): boolean => state.facts.steps.some((step) => step.role === "LOGITS");

const VIEWS_OF_A_RUN: readonly ViewEntry[] = [
  { name: "run", title: "Run", isThere: () => true, component: Explore },
  { name: "attention", title: "Attention", isThere: hasAttention, component: Attention },
  { name: "lenses", title: "Lenses", isThere: () => true, component: Lenses },
  { name: "generate", title: "Generate", isThere: hasLogits, component: Generate },
  { name: "learn", title: "Learn", isThere: () => state.facts.model.learns, component: Learn },
];
const COMPARE: ViewEntry = { name: "compare", title: "Compare", isThere: () => true, component: Compare };

/** Two sides that are compared are no run of a model: they have the one view. */
export const VIEWS: readonly ViewEntry[] = [...VIEWS_OF_A_RUN.map((one) => ({ ...one, isThere: () => !state.facts.compare && one.isThere() })), COMPARE];

export const chosenView = (): ViewEntry => VIEWS.find((one) => one.name === state.view.value && one.isThere()) ?? VIEWS.find((one) => one.isThere())!;
