import { html, Shell, start } from "../shared/shell.js";
import { Live } from "../shared/live.js";

function Desk({ who, live }) {
  return html`<${Shell} page="desk" who=${who} live=${live} />`;
}

start(Desk, () => {
  const live = new Live();
  live.start();
  return { live };
});
