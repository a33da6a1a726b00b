import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ServerProcess, startServer } from "../cluster/process.js";
import type { Lab, Namespace } from "../netns.js";

/**
 * What a runtime and a kubelet write to by names that cannot be configured goes with the machine: /run, /var/lib and
 * /var/log. Network namespaces of pods are mounted by the runtime and must be seen by the agent. This shell keeps the
 * mounts that the agent shares; those of the machine hide the processes outside.
 */
const host = `
set -e
for folder in /run /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir /run/netns /run/lib /run/lib-work
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/lib,workdir=/run/lib-work overlay /var/lib
mount --bind /run/netns /run/netns
mount --make-shared /run/netns
setpriv --pdeathsig KILL unshare --pid --fork --kill-child=KILL \
  --mount --propagation unchanged --mount-proc sh -c "$0"
`;

/**
 * The first process of the machine. A kubelet sets switches of the kernel, which are those of the whole host: it gets
 * files in their place.
 */
const init = `
set -e
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes
do
  mkdir -p /run/sysctl/$(dirname $name)
  echo 0 > /run/sysctl/$name
  mount --bind /run/sysctl/$name /proc/sys/$name
done
echo up
while :; do sleep 3600 & wait; done
`;

/** A node as a runtime and its containers see it: processes and mounts of its own, which end together. */
export interface Machine {
  /** Words in front of a command that has the machine's mounts, but sees all processes: such as the agent. */
  readonly withMounts: readonly string[];
  /** Starts a server inside. */
  start(program: string, ...args: readonly string[]): ServerProcess;
  /** Runs a program inside; returns its stdout, throws with its stderr unless it exits with 0. */
  run(program: string, ...args: readonly string[]): Promise<string>;
  /** A path of the machine, as this process finds it. */
  path(inside: string): string;
}

export async function startMachine(lab: Lab, namespace: Namespace, cwd: string): Promise<Machine> {
  const command = [`--net=${namespace.path}`, "unshare", "--mount", "sh", "-c", host, init];
  const outer = spawn("setpriv", ["--pdeathsig", "KILL", "nsenter", ...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(outer, "exit");
  lab.onCleanup(async () => {
    outer.kill("SIGKILL");
    await ended;
  });
  await Promise.race([
    once(outer.stdout, "data"),
    ended.then(() => Promise.reject(new Error("a machine did not come up"))),
  ]);
  const outerPid = outer.pid ?? 0;
  const [first = 0] = childrenOf(childrenOf(outerPid)[0] ?? 0);
  const inside = ["--target", `${first}`, "--mount", "--pid", "--net"];
  const start = (program: string, ...args: readonly string[]) =>
    startServer("nsenter", [...inside, program, ...args], cwd);
  return {
    withMounts: ["nsenter", `--mount=/proc/${outerPid}/ns/mnt`],
    start,
    async run(program, ...args) {
      const child = spawn("nsenter", [...inside, program, ...args], {
        cwd,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const texts = ["", ""];
      for (const [at, stream] of [child.stdout, child.stderr].entries()) {
        stream.setEncoding("utf8").on("data", (text: string) => void (texts[at] += text));
      }
      const [status] = (await once(child, "close")) as [number | null];
      if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${status}: ${texts[1]}`);
      return texts[0]!;
    },
    path: (name) => `/proc/${first}/root${name}`,
  };
}

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}
