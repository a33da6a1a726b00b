import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { toolPath } from "./tools.js";

export interface KubectlOptions {
  /** Its stdin. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Gets its stderr as it comes; else only a failure shows it. */
  readonly onStderr?: (text: string) => void;
}

/**
 * Runs kubectl with a kubeconfig; resolves with its stdout.
 *
 * @param home holds its caches
 * @throws Error with its stderr, unless it exits with 0
 */
export function runKubectl(
  home: string,
  kubeconfig: string,
  args: readonly string[],
  { input = "", env = {}, onStderr }: KubectlOptions = {},
): Promise<string> {
  const child = spawn(toolPath("kubectl"), args, {
    env: { ...process.env, HOME: home, KUBECONFIG: kubeconfig, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let problems = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    problems += text;
    onStderr?.(text);
  });
  // It may end before it has read all.
  child.stdin.on("error", () => undefined).end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve(out);
      else reject(new Error(`kubectl ${args.join(" ")}: exit status ${status}: ${problems}${out}`));
    });
  });
}

export interface KubeconfigUser {
  readonly token?: string;
  /** Path. */
  readonly "client-certificate"?: string;
  /** Path. */
  readonly "client-key"?: string;
}

/** Writes a kubeconfig, as JSON, which is YAML. */
export function writeKubeconfig(
  file: string,
  server: string,
  caFile: string,
  user: KubeconfigUser,
): void {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": caFile } }],
    users: [{ name: "user", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "user" } }],
    "current-context": "test",
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
}
