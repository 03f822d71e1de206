/** Starts the page: with the server's numbers, or by computing where the page is a file. */
import { render } from "preact";
import { App } from "./app";
import { Computed } from "./computed";
import { finding } from "./find";
import { listen } from "./keys";
import { watchOrder } from "./order";
import { watch } from "./origin";
import { pageData } from "./page_data";
import { Served } from "./served";
import * as state from "./state";
import "./style.css";

async function show(): Promise<void> {
  const data = await pageData();
  state.open(data ? new Computed(data) : await Served.open());
  watch();
  watchOrder();
  listen(() => (finding.value = true));
  render(<App />, document.body);
  await state.begin();
}

/** For the browser's console: what the page shows, to look at and to change. */
export * as learning from "./learning";
export { state };

show().catch((error: unknown) => {
  document.body.textContent = error instanceof Error ? error.message : String(error);
});
