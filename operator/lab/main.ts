/** The lab: `npm start`, and with `--once` the scenario that checks itself. */
import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { SluiceError } from "../errors.js";
import { formatReport } from "./checks.js";
import { createLab, type Lab } from "./lab.js";
import { sweepStaleLabs } from "./lab-folder.js";
import { showLive } from "./live.js";
import { runScenario } from "./scenario.js";

interface Flags {
  readonly folder: string;
  readonly once?: boolean;
  readonly seconds?: number;
  readonly keep?: boolean;
}

const examples = fileURLToPath(new URL("../../../examples/policies", import.meta.url));
const sluicectl = fileURLToPath(new URL("../cli/main.js", import.meta.url));
/** npm changes to the root of the project; INIT_CWD is where the user is. */
const userFolder = process.env.INIT_CWD ?? process.cwd();
const parentIntervalMs = 1000;

const program = new Command("npm start --")
  .description(
    "Three nodes in network namespaces, an agent on each, and real traffic: a web client, a\n" +
      "port scan, a UDP flood and a SYN flood. Shows what each rule does; edit a file and watch.",
  )
  .option("--folder <folder>", "manifests that the agents watch", examples)
  .option("--seconds <n>", "end after this time", parseSeconds)
  .option("--once", "run the scenario that checks itself, on a copy of the examples, and end")
  .option("--keep", "with --once: leave the lab running afterwards, until Ctrl-C")
  .addHelpText(
    "after",
    "\nNeeds root. Ctrl-C removes everything; the next start removes what a killed lab left.\n" +
      "Exit status: 0; 1 when a check of --once failed or the lab could not be started.",
  );

// What was under way when the lab was ended may still wait for something: do not wait for that.
process.exit(await main(program.parse().opts<Flags>()));

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0)) throw new InvalidArgumentError("It is a number of seconds above 0.");
  return seconds;
}

async function main(flags: Flags): Promise<number> {
  const stop = new AbortController();
  // A scenario that was ended early has shown nothing.
  const outcome = { status: flags.once === true ? 1 : 0 };
  let lab: Lab | undefined;
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    stop.abort();
  };
  process.on("uncaughtException", fail);
  watchForEnd(() => stop.abort());
  try {
    const manifests = checkFlags(flags);
    for (const line of await sweepStaleLabs()) console.log(line);
    if (!stop.signal.aborted) {
      lab = createLab({ manifests, copy: flags.once === true });
      await untilAborted(run(lab, flags, outcome, stop.signal), stop.signal);
    }
  } catch (error) {
    fail(error);
  }
  const left = (await lab?.close()) ?? [];
  for (const line of left) console.error(`could not be removed: ${line}`);
  if (failure !== undefined) console.error(describe(failure));
  else if (left.length === 0) console.log("the lab and all that it made are gone");
  return failure !== undefined || left.length > 0 ? 1 : outcome.status;
}

/** All that ends a lab from outside, but SIGKILL. */
function watchForEnd(end: () => void): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  // The reader of a pipe may go away (npm start | head).
  process.stdout.on("error", end);
  // npm may be killed, and then nobody hands signals on.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end();
  }, parentIntervalMs).unref();
}

/** Waits for the work, or for the signal; what the work does after that is of no interest. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolveAborted) => {
    signal.addEventListener("abort", () => resolveAborted());
    if (signal.aborted) resolveAborted();
  });
  await Promise.race([work, aborted]);
}

/** @returns the folder of manifests */
function checkFlags({ folder, once }: Flags): string {
  if (process.getuid?.() !== 0) {
    throw new SluiceError(
      "SLUICE_LAB_ROOT",
      "the lab makes network namespaces and loads BPF programs, and this user may not",
      { remedy: "Run npm start as root" },
    );
  }
  if (once === true && folder !== examples) {
    throw new SluiceError("SLUICE_LAB_FLAGS", "--once checks the rules of the examples only", {
      remedy: "Leave --folder away, or leave --once away",
    });
  }
  const path = resolve(userFolder, folder);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new SluiceError("SLUICE_LAB_FLAGS", `there is no folder ${path}`, {
      remedy: "Name a folder with XdpPolicy and XdpCidrSet files: --folder",
    });
  }
  return path;
}

async function run(
  lab: Lab,
  flags: Flags,
  outcome: { status: number },
  signal: AbortSignal,
): Promise<void> {
  console.log("starting three nodes, their agents and the traffic …");
  await lab.start();
  if (flags.once === true) {
    const checks = await runScenario(lab, (text) => console.log(text));
    console.log(formatReport(checks));
    outcome.status = checks.every(({ passed }) => passed) ? 0 : 1;
    if (flags.keep !== true) return;
  }
  const timer = flags.seconds === undefined ? undefined : AbortSignal.timeout(flags.seconds * 1000);
  await showLive(lab, hints(lab), timer === undefined ? signal : AbortSignal.any([signal, timer]));
}

function hints({ agents, manifests }: Lab): readonly string[] {
  const [first] = agents;
  return [
    `edit ${shorten(manifests)}/*.yaml and save: it acts within a second`,
    `node ${shorten(sluicectl)} rules --watch --socket ${first?.socketPath}`,
    `nsenter --net=${first?.node.namespacePath} tcpdump -ni eth0`,
  ];
}

/** As seen from where the user is, unless that would climb out of it. */
function shorten(path: string): string {
  const short = relative(userFolder, path);
  return short.startsWith("..") ? path : short;
}

function describe(error: unknown): string {
  if (error instanceof SluiceError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
