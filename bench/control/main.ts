import { runPart } from "../part.js";

await runPart(async () => ({ sections: [], targets: [] }));
