import pino from "pino";
import type { EngineStatus, PodPolicyState, PolicyState } from "../../operator/api/engine.js";
import { selectorMatches } from "../../operator/compile/selectors.js";
import type { KubeClient, KubeRequest } from "../../operator/kube/client.js";
import { KubeError } from "../../operator/kube/errors.js";
import { createKubeClient } from "../../operator/kube/http-client.js";
import { openServiceAccount } from "../../operator/kube/service-account.js";
import type { Problem, XdpPolicyRecord } from "../../operator/model/records.js";
import { KubernetesSource } from "../../operator/source/kubernetes.js";
import type { ObjectEvent } from "../../operator/source/source.js";
import { ClusterView } from "../../operator/status/cluster-view.js";
import { type Reporting, startReporting } from "../../operator/status/reporting.js";
import { status as fixture } from "../agent/fixture-engine.js";
import type { Cluster } from "../support/cluster/cluster.js";
import type { Installed } from "../support/cluster/install.js";

/** An agent's watching and reporting parts with its own rights, and a kernel side that is only said to be there. */
export interface PaperAgent {
  readonly node: string;
  readonly reporting: Reporting;
  /** Calls that it made; those of watches are not among them. */
  readonly calls: readonly KubeRequest[];
  /** Events that its watches of policies, sets and nodes brought. */
  watched(): number;
  /** What this node says of a policy besides what the policy itself says. */
  say(policy: string, changes: Partial<PolicyState>): void;
  /** What this node says of itself. */
  change(changes: Partial<EngineStatus>): void;
  /** Gives it a pod network, and what it says of policies of pods. */
  sayPods(policies: readonly PodPolicyState[]): void;
  /** From now on its calls get no answer, as when its node lost the network. */
  cutOff(): void;
  close(): Promise<void>;
}

export async function startPaperAgent(
  cluster: Cluster,
  installed: Installed,
  node: string,
  says: Readonly<Record<string, Partial<PolicyState>>> = {},
): Promise<PaperAgent> {
  const { folder, namespace } = await installed.account(node);
  const connection = await openServiceAccount(folder, { servers: [cluster.url] });
  const { client, calls, cutOff } = counting(
    createKubeClient(connection, { userAgent: "paper-agent" }),
  );
  const view = new ClusterView();
  const source = new KubernetesSource(client, { nodeName: node, observer: view });
  const engine = new PaperEngine(node);
  for (const [policy, changes] of Object.entries(says)) engine.says.set(policy, changes);
  await source.start((event) => engine.take(event));
  const reporting = startReporting({
    client,
    engine,
    node,
    leaseNamespace: namespace,
    facts: () => ({
      kernelVersion: "6.12.1",
      features: [
        { name: "tcx links", answer: "yes", since: "6.6" },
        { name: "helper bpf_set_retval", answer: "no", since: "5.18" },
      ],
    }),
    cluster: view,
    log: pino({ level: "silent" }),
  });
  let isClosed = false;
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    await reporting.close();
    await source.close();
    client.close();
  };
  cluster.onClose(close);
  return {
    node,
    reporting,
    calls,
    watched: () => source.state().kinds.reduce((total, { events }) => total + events, 0),
    say: (policy, changes) => {
      engine.says.set(policy, changes);
      reporting.look();
    },
    change: (changes) => {
      engine.changes = changes;
      reporting.look();
    },
    sayPods: (policies) => {
      engine.podPoliciesSaid = policies;
      reporting.look();
    },
    cutOff,
    close,
  };
}

class PaperEngine {
  readonly says = new Map<string, Partial<PolicyState>>();
  changes: Partial<EngineStatus> = {};
  podPoliciesSaid: readonly PodPolicyState[] | undefined;
  readonly #node: string;
  readonly #policies = new Map<string, XdpPolicyRecord>();
  #labels: Readonly<Record<string, string>> = {};
  #problems: readonly Problem[] = [];
  #isSynced = false;

  constructor(node: string) {
    this.#node = node;
  }

  take(event: ObjectEvent): void {
    if (event.type === "synced") this.#isSynced = true;
    else if (event.type === "problems") this.#problems = event.problems;
    else if (event.type === "delete") {
      if (event.kind === "XdpPolicy") this.#policies.delete(event.name);
    } else if (event.record.kind === "XdpPolicy")
      this.#policies.set(event.record.name, event.record);
    else if (event.record.kind === "Node" && event.record.name === this.#node) {
      this.#labels = event.record.labels;
    }
  }

  podPolicies(): readonly PodPolicyState[] | undefined {
    return this.podPoliciesSaid;
  }

  status(): EngineStatus {
    const { interfaces, tables, layout, version, startedAt, pinFolder } = fixture;
    return {
      ...{ interfaces, tables, layout, version, startedAt, pinFolder },
      node: this.#node,
      generation: 1,
      inSync: this.#isSynced,
      problems: this.#problems,
      policies: [...this.#policies.values()].map((record) => this.#stateOf(record)),
      ...this.changes,
    };
  }

  #stateOf({
    name,
    generation,
    priority,
    mode,
    nodeSelector,
    rules,
  }: XdpPolicyRecord): PolicyState {
    const selected = selectorMatches(nodeSelector, this.#labels);
    return {
      ...{ name, generation, priority, mode, selected },
      inForce: selected,
      interfaces: ["eth0"],
      rules: rules.length,
      problems: [],
      ...this.says.get(name),
    };
  }
}

function counting(client: KubeClient) {
  const calls: KubeRequest[] = [];
  let isCutOff = false;
  const counted: { client: KubeClient; calls: KubeRequest[]; cutOff: () => void } = {
    calls,
    cutOff: () => {
      isCutOff = true;
    },
    client: {
      namespace: client.namespace,
      server: () => client.server(),
      call: <T>(request: KubeRequest) => {
        calls.push(request);
        if (isCutOff) return Promise.reject(new KubeError("SLUICE_KUBE_SILENT", "cut off"));
        return client.call<T>(request);
      },
      stream: (request) => client.stream(request),
      close: () => client.close(),
    },
  };
  return counted;
}
