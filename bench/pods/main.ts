/** Pods' traffic beside veths that the kernel routes: docs/bench.md, "Pods". */
import { runPart } from "../part.js";
await runPart(async () => ({ sections: [], targets: [] }));
