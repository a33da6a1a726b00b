import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AgentAccount } from "../support/cluster/agent-account.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import type { RestAnswer } from "../support/cluster/rest.js";
import { eventually } from "../support/eventually.js";
import { chartFolder, helm, installChart } from "../support/cluster/install.js";
import { release } from "./helm.js";

let cluster: Cluster;
let agent: AgentAccount;
before(async () => {
  cluster = await startCluster();
  const installed = await installChart(cluster);
  agent = await installed.account("node-a");
});
after(() => cluster?.close());

const objects = "/apis/sluice.dev/v1alpha1/nodedatapaths";

/** Server-side apply of a NodeDatapath, as an agent does it. */
function applyAs(token: string | undefined, name: string, part = ""): Promise<RestAnswer> {
  return cluster.rest.send({
    method: "PATCH",
    path: `${objects}/${name}${part}?fieldManager=sluice-agent&force=true`,
    contentType: "application/apply-patch+yaml",
    body: {
      apiVersion: "sluice.dev/v1alpha1",
      kind: "NodeDatapath",
      metadata: { name },
      ...(part !== "" && { status: { agentVersion: "0.1.0" } }),
    },
    ...(token !== undefined && { token }),
  });
}

function message({ text }: RestAnswer): string {
  return (JSON.parse(text) as { readonly message: string }).message;
}

describe("an agent", () => {
  it("writes the NodeDatapath of its node and no other", async () => {
    // The API server takes a moment to put a new admission policy in force.
    await eventually(async () => {
      assert.equal((await applyAs(agent.token(), "node-b")).status, 403);
    });
    const refused = await applyAs(agent.token(), "node-b");
    assert.match(
      message(refused),
      /the agent on node node-a may write the NodeDatapath of its own node only, not node-b/,
    );
    assert.equal((await applyAs(agent.token(), "node-a")).status, 201);
    assert.equal((await applyAs(agent.token(), "node-a", "/status")).status, 200);
  });

  it("does not write the status of another node's", async () => {
    assert.equal((await applyAs(undefined, "node-c")).status, 201);
    const refused = await applyAs(agent.token(), "node-c", "/status");
    assert.equal(refused.status, 403);
    assert.match(message(refused), /not node-c/);
  });

  it("deletes what removed nodes have left, as it may be the leader", async () => {
    assert.equal((await applyAs(undefined, "gone")).status, 201);
    const { status } = await cluster.rest.send({
      method: "DELETE",
      path: `${objects}/gone`,
      token: agent.token(),
    });
    assert.equal(status, 200);
  });

  it("writes nothing with a token that is bound to no node", async () => {
    const { status } = await cluster.request<{ readonly status: { readonly token: string } }>({
      method: "POST",
      path: `/api/v1/namespaces/${release.namespace}/serviceaccounts/sluice/token`,
      body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
    });
    const refused = await applyAs(status.token, "node-a");
    assert.equal(refused.status, 403);
    assert.match(message(refused), /the agent's token is not bound to a node/);
  });

  it("has its requests in the priority level workload-high", async () => {
    const { metadata } = await cluster.get<{ readonly metadata: { readonly uid: string } }>(
      "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/sluice",
    );
    await eventually(async () => {
      const { headers } = await cluster.rest.send({ path: objects, token: agent.token() });
      assert.equal(headers["x-kubernetes-pf-flowschema-uid"], metadata.uid);
    });
  });
});

interface Access {
  readonly verb: string;
  readonly resource: string;
  readonly group?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

/** `verbs group/resource/subresource [namespace/][name]` of one line. */
function parseAccess(line: string): readonly Access[] {
  const [verbs = "", what = "", where = ""] = line.split(/\s+/);
  const [group = "", resource = "", subresource = ""] = what.split("/");
  const [namespace = "", name = ""] = where.split("/");
  return verbs.split(",").map((verb) => ({ verb, group, resource, subresource, namespace, name }));
}

async function isAllowed(access: Access): Promise<boolean> {
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${release.namespace}`];
  const { status } = await cluster.request<{ readonly status: { readonly allowed: boolean } }>({
    method: "POST",
    path: "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: {
        user: `system:serviceaccount:${release.namespace}:sluice`,
        groups: [...groups, "system:authenticated"],
        resourceAttributes: access,
      },
    },
  });
  return status.allowed;
}

const allowed = [
  "get,list,watch                     /nodes",
  "get,list,watch                     /namespaces",
  "get,list,watch                     sluice.dev/xdppolicies",
  "get,list,watch                     sluice.dev/xdpcidrsets",
  "patch                              sluice.dev/xdppolicies/status",
  "patch                              sluice.dev/xdpcidrsets/status",
  "get,list,watch,create,patch,delete sluice.dev/nodedatapaths",
  "patch                              sluice.dev/nodedatapaths/status",
  "create                             coordination.k8s.io/leases sluice-system/",
  "get,update,patch                   coordination.k8s.io/leases sluice-system/sluice-leader",
  "create,patch                       /events default/",
  "get,list,watch                     discovery.k8s.io/endpointslices default/kubernetes",
];

/** What `podNetwork.enabled` adds. */
const allowedWithPods = [
  "get,list,watch /pods",
  "get,list,watch networking.k8s.io/networkpolicies",
  "get,list,watch policy.networking.k8s.io/clusternetworkpolicies",
  "patch          policy.networking.k8s.io/clusternetworkpolicies/status",
  "create,patch   /events",
];

const denied = [
  "get,list,watch,create              /secrets",
  "get,list,watch                     /secrets sluice-system/",
  "get,list,watch                     /configmaps sluice-system/",
  "get,list,watch,create,delete       /pods",
  "create,get                         /pods/exec",
  "create                             /serviceaccounts/token sluice-system/sluice",
  "create,update,patch,delete         /nodes",
  "patch,update                       /nodes/status",
  "get                                /nodes/proxy",
  "create,update,patch,delete         /namespaces",
  "create,update,patch,delete         sluice.dev/xdppolicies",
  "create,update,patch,delete         sluice.dev/xdpcidrsets",
  "update                             sluice.dev/xdppolicies/status",
  "update,deletecollection            sluice.dev/nodedatapaths",
  "update                             sluice.dev/nodedatapaths/status",
  "list,watch,delete                  coordination.k8s.io/leases sluice-system/",
  "get,update,patch,delete            coordination.k8s.io/leases sluice-system/other",
  "create,get,update,patch            coordination.k8s.io/leases kube-system/sluice-leader",
  "create                             coordination.k8s.io/leases",
  "get,list,watch,update,delete       /events default/",
  "create,patch                       /events kube-system/",
  "get,list,watch                     discovery.k8s.io/endpointslices default/",
  "get,list,watch                     discovery.k8s.io/endpointslices",
  "create,update,patch,delete         discovery.k8s.io/endpointslices default/kubernetes",
  "get,list,create,patch              apiextensions.k8s.io/customresourcedefinitions",
  "get,create,patch                   rbac.authorization.k8s.io/clusterroles",
  "get,create,patch,delete            admissionregistration.k8s.io/validatingadmissionpolicies",
  "impersonate                        /users",
];

describe("the rights of the agents' account", () => {
  for (const line of allowed) {
    it(`has ${line.replace(/\s+/g, " ")}`, async () => {
      for (const access of parseAccess(line)) {
        assert.equal(await isAllowed(access), true, access.verb);
      }
    });
  }
  for (const line of denied) {
    it(`lacks ${line.replace(/\s+/g, " ")}`, async () => {
      for (const access of parseAccess(line)) {
        assert.equal(await isAllowed(access), false, access.verb);
      }
    });
  }

  it("are those and no more, by what the API server itself counts up", async () => {
    await assertRights(allowed);
  });

  it("are some more with a pod network, and no more than these", async () => {
    const set = ["--set", "podNetwork.enabled=true"];
    await helm(
      cluster,
      ...["upgrade", "sluice", chartFolder, "--namespace", release.namespace, ...set],
    );
    await assertRights([...allowed, ...allowedWithPods]);
  });
});

async function assertRights(lines: readonly string[]): Promise<void> {
  const rulesIn = async (namespace: string) => {
    const { status } = await cluster.rest.call<{
      readonly status: { readonly resourceRules: readonly RoleRule[] };
    }>({
      method: "POST",
      path: "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectRulesReview",
        spec: { namespace },
      },
      token: agent.token(),
    });
    return [...new Set(status.resourceRules.flatMap(rightsOf))].sort();
  };
  const expected = (namespace: string) => {
    const rights = [
      ...lines
        .flatMap(parseAccess)
        .filter((access) => ["", namespace].includes(access.namespace ?? "")),
      // Everybody may ask about himself.
      ...["selfsubjectaccessreviews", "selfsubjectrulesreviews"].map((resource) => ({
        verb: "create",
        group: "authorization.k8s.io",
        resource,
      })),
      { verb: "create", group: "authentication.k8s.io", resource: "selfsubjectreviews" },
    ].map(rightText);
    return [...new Set(rights)].sort();
  };
  for (const namespace of [release.namespace, "default", "kube-system"]) {
    // The API server takes a moment to see a new role.
    await eventually(async () => {
      assert.deepEqual(await rulesIn(namespace), expected(namespace), namespace);
    });
  }
}

interface RoleRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
}

function rightText({ verb, group = "", resource, subresource = "", name = "" }: Access): string {
  return `${verb} ${group}/${resource}${subresource && `/${subresource}`} ${name}`.trim();
}

function rightsOf({ verbs, apiGroups = [], resources = [], resourceNames = [""] }: RoleRule) {
  return verbs.flatMap((verb) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.map((name) => rightText({ verb, group, resource, name })),
      ),
    ),
  );
}
