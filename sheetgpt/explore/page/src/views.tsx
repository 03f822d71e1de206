/** The views that the top bar leads to; each is shown where the page has what it needs. */
import type { ComponentType } from "preact";
import * as state from "./state";
import type { View } from "./state";
import { Explore } from "./explore";
import { Generate } from "./generate";
import { Learn } from "./learn";

export interface ViewEntry {
  readonly name: View;
  readonly title: string;
  readonly isThere: () => boolean;
  readonly component: ComponentType;
}

const hasLogits = (): boolean => state.facts.steps.some((step) => step.role === "LOGITS");

export const VIEWS: readonly ViewEntry[] = [
  { name: "run", title: "Run", isThere: () => true, component: Explore },
  { name: "generate", title: "Generate", isThere: hasLogits, component: Generate },
  { name: "learn", title: "Learn", isThere: () => state.facts.model.learns, component: Learn },
];

export const chosenView = (): ViewEntry => VIEWS.find((one) => one.name === state.view.value && one.isThere()) ?? VIEWS[0]!;
