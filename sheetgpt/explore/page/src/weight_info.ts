/** The scale and the statistics of weights, as the model has them: asked for when a weight is first looked at. */
import { signal } from "@preact/signals";
import type { WeightInfo } from "./source";
import { getSource } from "./state";

const found = signal<ReadonlyMap<string, WeightInfo>>(new Map());
const asked = new Set<string>();

/** Undefined until it is there, and where the page holds no weights. */
export function weightInfo(name: string): WeightInfo | undefined {
  if (!asked.has(name)) void ask(name);
  return found.value.get(name);
}

async function ask(name: string): Promise<void> {
  asked.add(name);
  try {
    const info = await getSource().weight?.(name);
    if (info) found.value = new Map(found.peek()).set(name, info);
  } catch {
    asked.delete(name); // the next look asks again
  }
}
