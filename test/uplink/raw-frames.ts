/** Frames as they are, from and to an interface inside a namespace. */

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Lab, Namespace } from "../support/netns.js";
import { printLines, type Printer } from "./printer.js";

const PROGRAM = fileURLToPath(new URL("../../bin/raw-frames", import.meta.url));

/** Returns when the interface took them. */
export function sendFrames(
  namespace: Namespace,
  interfaceName: string,
  frames: readonly Uint8Array[],
): void {
  const lines = frames.map((frame) => `${Buffer.from(frame).toString("hex")}\n`);
  execFileSync("nsenter", [`--net=${namespace.path}`, PROGRAM, "send", interfaceName], {
    input: lines.join(""),
    stdio: ["pipe", "ignore", "pipe"],
  });
}

/** Frames that an interface receives from now on, as hexadecimal digits. */
export function watchFrames(
  lab: Lab,
  namespace: Namespace,
  interfaceName: string,
): Promise<Printer> {
  return printLines(lab, namespace, PROGRAM, "print", interfaceName);
}
