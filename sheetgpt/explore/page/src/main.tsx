import { render } from "preact";

render(<p>sheetgpt</p>, document.body);
