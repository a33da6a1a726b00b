import { cniError } from "./errors.js";

/** Version of what the shim and the agent speak; cni/sluice.c has the same. */
const magic = Buffer.from("sluicni1");
export const headerBytes = 16;
const mostEnvironmentBytes = 64 * 1024;
const mostConfigBytes = 4 * 1024 * 1024;

/** What the shim was started with. */
export interface RawRequest {
  /** The variables whose name starts with `CNI_`. */
  readonly environment: ReadonlyMap<string, string>;
  /** Standard input. */
  readonly config: string;
}

/**
 * Bytes of the whole request whose header these are.
 *
 * @throws SluiceError SLUICE_CNI_DECODE for another protocol or a request that is too large
 */
export function requestBytes(header: Buffer): number {
  if (!header.subarray(0, magic.length).equals(magic)) {
    throw cniError("SLUICE_CNI_DECODE", "the plugin speaks another protocol than this agent", {
      remedy: "Let the agent install its own plugin (cni.install), and try again",
    });
  }
  const environment = header.readUInt32BE(8);
  const config = header.readUInt32BE(12);
  if (environment > mostEnvironmentBytes || config > mostConfigBytes) {
    throw cniError(
      "SLUICE_CNI_DECODE",
      `the request has ${environment} bytes of variables and ${config} of configuration`,
      { remedy: `At most ${mostEnvironmentBytes} and ${mostConfigBytes} are read` },
    );
  }
  return headerBytes + environment + config;
}

/** Takes a whole request apart. @throws SluiceError SLUICE_CNI_DECODE */
export function decodeRequest(bytes: Buffer): RawRequest {
  if (bytes.length < headerBytes || bytes.length !== requestBytes(bytes)) {
    throw cniError("SLUICE_CNI_DECODE", `a request of ${bytes.length} bytes is not whole`);
  }
  const end = headerBytes + bytes.readUInt32BE(8);
  const environment = new Map<string, string>();
  for (const entry of bytes.toString("utf8", headerBytes, end).split("\0")) {
    const equals = entry.indexOf("=");
    if (equals > 0) environment.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return { environment, config: bytes.toString("utf8", end) };
}

/** As the shim sends it. */
export function encodeRequest({ environment, config }: RawRequest): Buffer {
  const entries = [...environment].map(([name, value]) => `${name}=${value}\0`).join("");
  return frame(Buffer.byteLength(entries), Buffer.from(entries), Buffer.from(config));
}

/** @param exitCode 0 for success */
export function encodeAnswer(exitCode: number, text: string): Buffer {
  return frame(exitCode, Buffer.from(text));
}

function frame(first: number, ...parts: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(headerBytes);
  magic.copy(header);
  header.writeUInt32BE(first, 8);
  header.writeUInt32BE(parts.at(-1)?.length ?? 0, 12);
  return Buffer.concat([header, ...parts]);
}
