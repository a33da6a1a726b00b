import type { IncomingMessage } from "node:http";
import { apiError } from "./errors.js";

/** A frame of 64 KiB in base64, and room to spare. */
const mostBytes = 256 * 1024;
/**
 * A sender of more is cut off before it has said all; until then it is heard out, or it would miss
 * the answer.
 */
const patienceBytes = 16 * 1024 * 1024;

/**
 * The JSON object that a request carries.
 *
 * @throws SluiceError SLUICE_API_TOO_LARGE, SLUICE_API_REQUEST
 */
export async function readBody(
  request: IncomingMessage,
): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= mostBytes) chunks.push(chunk);
    if (length > patienceBytes) break;
  }
  if (length > mostBytes) {
    throw apiError("SLUICE_API_TOO_LARGE", `the request has more than ${mostBytes} bytes`);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw apiError("SLUICE_API_REQUEST", "the request is not JSON", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw apiError("SLUICE_API_REQUEST", "the request is not a JSON object");
  }
  return value as Record<string, unknown>;
}
