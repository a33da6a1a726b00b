import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CniVersion, newestVersion } from "./versions.js";

const program = fileURLToPath(new URL("../../bin/sluice", import.meta.url));
/** Where the shim looks for the socket when nothing beside it says otherwise. */
const usualFolder = "/run/sluice";
const programName = "sluice";
/** Runtimes take the first network by name. */
const configName = "05-sluice.conflist";

export interface NetworkOptions {
  /** Bytes of payload; undefined: as the uplink. */
  readonly mtu?: number;
}

/**
 * Copies the shim into the host's folder of CNI plugins. Written beside and renamed with its mode already set, so that
 * a runtime finds the old program or the new one and can always execute it.
 *
 * @param binFolder usually `/opt/cni/bin`
 * @param socketPath where the agent listens: `cni.sock` in any folder
 * @throws of Node, when the folder cannot be made or written
 */
export function installPlugin(binFolder: string, socketPath: string): void {
  mkdirSync(binFolder, { recursive: true });
  const folder = dirname(socketPath);
  const hint = join(binFolder, `${programName}.folder`);
  if (folder === usualFolder) rmSync(hint, { force: true });
  else replace(hint, (fresh) => writeFileSync(fresh, `${folder}\n`), 0o644);
  replace(join(binFolder, programName), (fresh) => copyFileSync(program, fresh), 0o755);
}

/**
 * Writes the network configuration, when pods can be attached: a runtime counts the node as ready as soon as it finds
 * the file. One that says the same already stays untouched, since runtimes reload on every change.
 *
 * @param configFolder usually `/etc/cni/net.d`
 * @returns whether anything was written
 * @throws of Node, when the folder cannot be written
 */
export function installConfig(configFolder: string, options: NetworkOptions = {}): boolean {
  const path = join(configFolder, configName);
  const text = formatConfig(options);
  if (readText(path) === text) return false;
  mkdirSync(configFolder, { recursive: true });
  replace(path, (fresh) => writeFileSync(fresh, text), 0o600);
  return true;
}

/** Only for a clean-up: during an upgrade the file must stay, or new pods would have to wait. */
export function removeInstalled(binFolder: string, configFolder: string): void {
  rmSync(join(configFolder, configName), { force: true });
  rmSync(join(binFolder, programName), { force: true });
  rmSync(join(binFolder, `${programName}.folder`), { force: true });
}

function formatConfig({ mtu }: NetworkOptions): string {
  const plugin = {
    type: programName,
    capabilities: { ips: true, mac: true, portMappings: true, bandwidth: true },
    ...(mtu === undefined ? {} : { mtu }),
  };
  const config = {
    // Of runtimes that know no choice of versions, such as containerd 1.6 and 1.7, none knows a newer one.
    cniVersion: "1.0.0" satisfies CniVersion,
    cniVersions: ["1.0.0", newestVersion] satisfies readonly CniVersion[],
    name: "sluice",
    plugins: [plugin],
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** Makes a file beside, hidden from runtimes by its name, and puts it in place in one step. */
function replace(path: string, write: (fresh: string) => void, mode: number): void {
  const fresh = `${path}.new`;
  try {
    rmSync(fresh, { force: true });
    write(fresh);
    chmodSync(fresh, mode);
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
