import { type Command, Option } from "commander";
import { formatProblem } from "../../model/problem.js";
import { type Cli, localCommand, programName } from "../agent-command.js";
import { cliError, exitCodes } from "../errors.js";
import { createOutput, type Output, type OutputFormat } from "../output.js";
import { readPodWords } from "../pod-trace/end-words.js";
import { type Expectation, isExpected } from "../pod-trace/expect.js";
import { walkText } from "../pod-trace/walk-text.js";
import { printable } from "../visible.js";
import type { ManifestCluster } from "../explain/read-cluster.js";

interface ExplainOptions {
  readonly output: OutputFormat;
  readonly filename: readonly string[];
  readonly namespace: string;
  readonly protocol?: string;
  readonly type?: string;
  readonly code?: string;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly expect?: Expectation;
}

const examples = (explain: string) => `
Examples:
  ${explain} -f policies/ web/client web/server:80
  ${explain} -f policies/ -f pods.yaml udp web/client 192.0.2.1:53 --expect deny
  kubectl get pods,namespaces,nodes,networkpolicies -A -o yaml | ${explain} -f - web/client db/main:pg
`;

/** `sluicectl explain` */
export function explainCommand(cli: Cli): Command {
  return localCommand(
    "explain",
    "what policies in files would say of a connection, and why",
    "Reads Pods, Namespaces, Nodes, NetworkPolicies and ClusterNetworkPolicies from files, and " +
      "says which of their rules would judge the first packet of a connection, and how. Needs no " +
      "agent, no cluster and no rights: good for CI.",
  )
    .argument(
      "<words...>",
      "[PROTOCOL] SOURCE DESTINATION[:PORT]: NAMESPACE/NAME, pod/NAME or an address; " +
        "protocols: tcp (default), udp, sctp, icmp",
    )
    .requiredOption(
      "-f, --filename <path>",
      "folder or file of manifests, or -; repeatable",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .option("-n, --namespace <name>", "of pods written as pod/NAME", "default")
    .option("--protocol <n>", "a protocol's name or number")
    .option("--type <n>", "ICMP type (default: echo request)")
    .option("--code <n>", "ICMP code (default: 0)")
    .option("-4, --ipv4", "by the pods' IPv4 addresses (default, where both have one)")
    .option("-6, --ipv6", "by the pods' IPv6 addresses")
    .addOption(
      new Option("--expect <verdict>", "exit with 4 when the verdict is another").choices([
        "allow",
        "deny",
        "pass",
        "drop",
      ]),
    )
    .addHelpText("after", examples(`${programName(cli)} explain`))
    .action(async (words: readonly string[], options: ExplainOptions) => {
      const output = createOutput(cli.io, options.output);
      const packet = readPodWords(words, options.namespace, options.protocol);
      // Loads the compiler, which no other command needs.
      const [{ readCluster }, { Explainer }] = await Promise.all([
        import("../explain/read-cluster.js"),
        import("../explain/explain.js"),
      ]);
      const cluster = await readCluster(options.filename, cli.io.stdin);
      tellProblems(cluster, output);
      const { walk, frame } = new Explainer(cluster.input).explain(packet, options);
      const ends: readonly (string | undefined)[] = [walk.source.name, walk.destination.name];
      const given = cluster.given.filter(({ pod }) => ends.includes(pod));
      output.show({ ...walk, givenAddresses: given }, () => walkText(walk, frame, output));
      for (const { pod } of given) {
        output.note(`${pod} has no address in its manifest: blocks that may hold it are not known`);
      }
      if (!isExpected(options.expect, walk.verdict)) cli.exitCode = exitCodes.finding;
    });
}

/** @throws SluiceError SLUICE_MANIFESTS: without an object that is wrong the answer might be another */
function tellProblems({ problems }: ManifestCluster, output: Output): void {
  for (const problem of problems) {
    const { severity } = problem;
    const paint = severity === "error" ? output.colors.red : output.colors.yellow;
    output.note(`${paint(severity)}  ${printable(formatProblem(problem))}`);
  }
  const errors = problems.filter(({ severity }) => severity === "error").length;
  if (errors === 0) return;
  throw cliError(
    "SLUICE_MANIFESTS",
    `${errors === 1 ? "an error is" : `${errors} errors are`} in the manifests, and nothing was judged`,
  );
}
