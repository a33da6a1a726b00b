import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Lab, Namespace } from "../support/netns.js";

/** Of a pod, what is carried out here. */
export interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}

export interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly securityContext: {
    readonly privileged?: boolean;
    readonly runAsUser?: number;
    readonly readOnlyRootFilesystem?: boolean;
    readonly allowPrivilegeEscalation?: boolean;
    readonly capabilities?: { readonly add?: readonly string[] };
  };
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
    readonly mountPropagation?: string;
  }[];
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string; readonly type?: string };
  readonly configMap?: { readonly name: string };
  readonly projected?: object;
}

export interface NodeOptions {
  /** Root file system of the image. */
  readonly image: string;
  /** Values of a pod's fields, for `fieldRef`. */
  readonly fields: Readonly<Record<string, string>>;
  /** Folder of what the projected volume of the service account has. */
  readonly serviceAccount: string;
  readonly configMap: (name: string) => Promise<Readonly<Record<string, string>>>;
}

export interface Running {
  readonly pid: number;
  readonly log: () => string;
  readonly exited: Promise<number | NodeJS.Signals | null>;
  signal(signal: NodeJS.Signals): void;
}

export interface Node {
  /** A file of the node, as this process reaches it. */
  path(file: string): string;
  start(pod: PodSpec, container: Container): Promise<Running>;
  /** Runs it to its end; resolves with its output, rejects unless it exits with 0. */
  run(pod: PodSpec, container: Container): Promise<string>;
}

const holdScript = `
  mount -t tmpfs node "$1"
  mount --make-shared "$1"
  mkdir -p "$1/sys/fs/bpf" "$1/run"
  echo up
  exec sleep infinity`;

/** Mounts are lines of: source, path in the container, propagation, `ro` or `rw`. */
const containerScript = `
  root=$1 mode=$2
  mount --bind "$root" "$root"
  mount --bind /proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  while read -r source target propagation access; do
    mount --rbind "$source" "$root$target"
    mount "--make-$propagation" "$root$target"
    test "$access" = rw || mount -o "remount,bind,$access" "$root$target"
  done < "$3"
  test "$mode" = rw || mount -o remount,bind,ro "$root"
  shift 3
  exec chroot "$root" "$@"`;

/**
 * A node that does for a container what kubelet and runtime do: image, volumes with their propagation, environment,
 * user and capabilities. Its /sys/fs/bpf has no BPF file system at first.
 */
export async function startNode(
  lab: Lab,
  network: Namespace,
  { image, fields, serviceAccount, configMap }: NodeOptions,
): Promise<Node> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-node-"));
  lab.onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  const node = join(folder, "node");
  mkdirSync(node);
  copyWithLibraries("/usr/bin/setpriv", image);
  // As an image is unpacked; what mkdtemp makes is for its owner only.
  chmodSync(image, 0o755);
  const inNetwork = ["--pdeathsig", "KILL", "nsenter", `--net=${network.path}`];
  const holder = spawn(
    "setpriv",
    [
      ...inNetwork,
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "sh",
      "-ec",
      holdScript,
      "sh",
      node,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  lab.onCleanup(() => ended(holder));
  await once(holder.stdout, "data");

  const sourceOf = async (volume: Volume): Promise<string> => {
    const path = join(folder, "volumes", volume.name);
    if (volume.hostPath !== undefined) {
      const onNode = join(node, volume.hostPath.path);
      if (volume.hostPath.type === "DirectoryOrCreate")
        mkdirSync(reach(onNode), { recursive: true });
      return onNode;
    }
    if (volume.configMap === undefined) return serviceAccount;
    mkdirSync(path, { recursive: true });
    for (const [name, text] of Object.entries(await configMap(volume.configMap.name))) {
      writeFileSync(join(path, name), text);
    }
    return path;
  };
  const reach = (file: string) => join(`/proc/${holder.pid}/root`, file);

  const start = async (pod: PodSpec, container: Container): Promise<Running> => {
    const { volumeMounts = [], securityContext } = container;
    const mounts: string[] = [];
    for (const { name, mountPath, readOnly, mountPropagation } of volumeMounts) {
      const volume = pod.volumes.find((one) => one.name === name);
      if (volume === undefined) throw new Error(`the pod has no volume ${name}`);
      // Below /sys the kernel has the folder, or there is none.
      if (!mountPath.startsWith("/sys/")) mkdirSync(join(image, mountPath), { recursive: true });
      const source = await sourceOf(volume);
      mounts.push(
        `${source} ${mountPath} ${propagations[mountPropagation ?? "None"]} ${readOnly === true ? "ro" : "rw"}`,
      );
    }
    for (const path of ["proc", "sys"]) mkdirSync(join(image, path), { recursive: true });
    const list = join(folder, `mounts-${container.name}`);
    writeFileSync(list, mounts.map((line) => `${line}\n`).join(""));
    const mode = securityContext.readOnlyRootFilesystem === true ? "ro" : "rw";
    const child = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "nsenter", "--target", String(holder.pid), "--mount", "--net"],
        ...["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", containerScript, "sh"],
        ...[image, mode, list, "/usr/bin/setpriv", ...rightsOf(securityContext)],
        ...[...container.command, ...(container.args ?? [])],
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: environmentOf(container, fields) },
    );
    lab.onCleanup(() => ended(child));
    let log = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => void (log += text));
    }
    const exited = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status, signal) => resolve(signal ?? status));
    });
    return {
      pid: child.pid ?? 0,
      log: () => log,
      exited,
      signal: (signal) => void child.kill(signal),
    };
  };
  return {
    path: (file) => reach(join(node, file)),
    start,
    async run(pod, container) {
      const running = await start(pod, container);
      const status = await running.exited;
      if (status !== 0) throw new Error(`${container.name}: ${status}: ${running.log()}`);
      return running.log();
    },
  };
}

/** Of the mount in the container, in the words of mount(8). */
const propagations: Readonly<Record<string, string>> = {
  None: "rprivate",
  HostToContainer: "rslave",
  Bidirectional: "rshared",
};

function rightsOf(securityContext: Container["securityContext"]): readonly string[] {
  const { privileged, runAsUser = 0, allowPrivilegeEscalation, capabilities } = securityContext;
  const user = [`--reuid=${runAsUser}`, `--regid=${runAsUser}`, "--clear-groups"];
  if (privileged === true) return user;
  const added = (capabilities?.add ?? []).map((name) => `+${name.toLowerCase()}`);
  const set = ["-all", ...added].join(",");
  const noMore = allowPrivilegeEscalation === false ? ["--no-new-privs"] : [];
  return [...user, ...noMore, `--bounding-set=${set}`, `--inh-caps=${set}`];
}

function environmentOf(
  { env = [] }: Container,
  fields: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const values: Record<string, string> = {
    PATH: "/usr/local/bin:/usr/bin:/usr/sbin",
    // The Service, which nothing translates here.
    KUBERNETES_SERVICE_HOST: "10.96.0.1",
    KUBERNETES_SERVICE_PORT: "443",
  };
  for (const { name, value, valueFrom } of env) {
    const path = valueFrom?.fieldRef.fieldPath;
    const text = path === undefined ? (value ?? "") : fields[path];
    if (text === undefined) throw new Error(`the pod has no field ${path}`);
    values[name] = text.replace(/\$\((\w+)\)/g, (whole, other: string) => values[other] ?? whole);
  }
  return values;
}

function copyWithLibraries(program: string, root: string): void {
  const libraries = execFileSync("ldd", [program], { encoding: "utf8" });
  for (const path of [program, ...[...libraries.matchAll(/(\/\S+) \(0x/g)].map(([, at]) => at!)]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(path, join(root, path), { dereference: true });
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
