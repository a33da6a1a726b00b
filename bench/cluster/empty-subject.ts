/** The floor: Node.js with nothing in it. */
import { runSubject } from "./probe.js";

runSubject(() => Promise.resolve());
