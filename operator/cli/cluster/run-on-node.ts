import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { openExec } from "../../kube/exec.js";
import type { ExecExit } from "../../kube/exec-stream.js";
import type { ClusterOptions } from "../agent-command.js";
import { cliError } from "../errors.js";
import type { CliIo } from "../io.js";
import { findSelectedPods, sluicectlInPod } from "./cluster-agents.js";
import { openCluster, userAgent } from "./open-cluster.js";

/**
 * Runs sluicectl in the pod of a node's agent, and passes on what it writes.
 *
 * @param options with one node
 * @returns its exit code
 * @throws KubeError, SluiceError
 */
export async function runSluicectlOnNode(
  io: CliIo,
  options: ClusterOptions,
  words: readonly string[],
): Promise<number> {
  const cluster = await openCluster(io, options);
  try {
    const [pod] = await findSelectedPods(cluster, options);
    if (pod === undefined) throw cliError("SLUICE_NO_AGENTS", "there is no agent");
    if (pod.problem !== undefined) {
      throw cliError("SLUICE_NO_AGENTS", `nothing can run on ${pod.node}: ${pod.problem}`, {
        remedy: `Look at it: kubectl -n ${pod.namespace} describe pod ${pod.name}`,
      });
    }
    let exit: ExecExit | undefined;
    const { namespace, name, container } = pod;
    const target = { namespace, pod: name, container, command: [...sluicectlInPod, ...words] };
    const stream = await openExec(
      cluster.connection,
      { ...target, hasInput: false },
      {
        userAgent,
        onStderr: (chunk) => void io.stderr.write(chunk.toString("utf8")),
        errorOfExit(ended) {
          exit = ended;
          return undefined;
        },
      },
    );
    stream.setEncoding("utf8");
    const stdout = new Writable({
      decodeStrings: false,
      write: (text: string, _encoding, done) => {
        io.stdout.write(text);
        done();
      },
    });
    await pipeline(stream, stdout, { signal: io.signal });
    if (exit?.code !== undefined) return exit.code;
    throw cliError("SLUICE_NO_AGENTS", `sluicectl did not run on ${pod.node}: ${exit?.message}`);
  } finally {
    cluster.kube.close();
  }
}
