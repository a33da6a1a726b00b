import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SluiceError } from "../operator/errors.js";
import { atExit } from "./cleanup.js";
import type { PartOptions, PartResult } from "./result.js";

/** From a part to the main process. */
type Message = { readonly progress: string } | { readonly result: PartResult };

/** Body of a part's process: hands its result to the main process, and ends. */
export async function runPart(
  work: (options: PartOptions, progress: (text: string) => void) => Promise<PartResult>,
): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: "boolean", default: false }, only: { type: "string", default: "" } },
  });
  const send = (message: Message) =>
    new Promise((resolve) => {
      if (process.send === undefined) resolve(console.log(message));
      else process.send(message, resolve);
    });
  try {
    await send({ result: await work(values, (progress) => void send({ progress })) });
    process.exit(0);
  } catch (error) {
    console.error(error instanceof SluiceError ? error.message : error);
    process.exit(1);
  }
}

/**
 * Runs a part as a process of its own: its memory is its own, and one that fails takes nothing along.
 *
 * @param name folder of its `main.js`
 * @param wrapper words in front of its command, as `taskset …`
 * @throws SluiceError SLUICE_BENCH
 */
export function startPart(
  name: string,
  wrapper: readonly string[],
  options: PartOptions,
  progress: (text: string) => void,
): Promise<PartResult> {
  const script = fileURLToPath(new URL(`./${name}/main.js`, import.meta.url));
  const command = [...wrapper, process.execPath, script];
  if (options.quick) command.push("--quick");
  command.push(`--only=${options.only}`);
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const stop = atExit(() => child.kill("SIGTERM"));
    let result: PartResult | undefined;
    child.on("message", (message: Message) => {
      if ("progress" in message) progress(message.progress);
      else result = message.result;
    });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      stop();
      if (status === 0 && result !== undefined) resolve(result);
      else reject(failure(name, signal ?? `status ${status}`));
    });
  });
}

function failure(name: string, how: string): SluiceError {
  return new SluiceError("SLUICE_BENCH", `the part ${name} of the bench ended with ${how}`, {
    remedy: "Read what it said above",
  });
}
