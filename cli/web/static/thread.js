// The page of a thread.

import { inTurn, keys } from "/static/keys.js";
import * as find from "./thread/find.js";
import * as follow from "./thread/follow.js";
import * as looks from "./thread/looks.js";
import * as outline from "./thread/outline.js";
import { current } from "./thread/place.js";
import * as turns from "./thread/turns.js";

looks.start();
outline.start();
keys("This thread", [
  { keys: ["j"], what: "The next prompt", inTurn: true, run: () => turns.byPrompt(1) },
  { keys: ["k"], what: "The prompt before", inTurn: true, run: () => turns.byPrompt(-1) },
  { keys: ["x"], what: "The next failed command", inTurn: true, run: () => outline.byFailure(1) },
  { keys: ["X"], what: "The failed command before", inTurn: true, run: () => outline.byFailure(-1) },
  { keys: ["/"], what: "Find in this thread", run: find.focus },
  { keys: ["n"], what: "The next match", inTurn: true, run: () => find.step(1) },
  { keys: ["N"], what: "The match before", inTurn: true, run: () => find.step(-1) },
  { keys: ["t"], what: "Tools: short ones open, all open, all folded, off", inTurn: true, run: looks.nextTools },
  { keys: ["o"], what: "The turns at the side", run: outline.focus },
  { keys: ["y"], what: "Copy a link to this turn", inTurn: true, run: () => turns.copyLink(current()) },
  { keys: ["g g"], what: "The first turn", run: turns.toBegin },
  { keys: ["G"], what: "The end, where new turns come", run: turns.toEnd },
]);
inTurn(async () => {
  await turns.start();
  follow.start();
  await find.start();
});
