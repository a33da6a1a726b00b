import { Agent, request } from "node:https";
import { type Admission, admit } from "../../operator/model/admit.js";
import type { JsonObject } from "./complete-objects.js";

/** How a test reaches the API server, as somebody who may create the objects. */
export interface ServerAccess {
  /** `https://127.0.0.1:6443`. */
  readonly url: string;
  readonly ca: string | Buffer;
  readonly token: string;
}

/** What the API server says of an object. */
export interface Verdict {
  readonly accepted: boolean;
  /** The object with defaults filled in, when it was accepted. */
  readonly object: JsonObject | undefined;
  /** HTTP status and message of the answer. */
  readonly status: number;
  readonly message: string;
  readonly refusals: readonly Refusal[];
}

export interface Refusal {
  readonly field: string;
  readonly message: string;
}

const PLURALS: Readonly<Record<string, string>> = {
  XdpPolicy: "xdppolicies",
  XdpCidrSet: "xdpcidrsets",
};

/** Asks the API server whether it would take an object, without creating it. */
export class DryRun {
  readonly #access: ServerAccess;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  constructor(access: ServerAccess) {
    this.#access = access;
  }

  async create(object: JsonObject, version = "v1alpha1"): Promise<Verdict> {
    const plural = PLURALS[object["kind"] as string];
    const path = `/apis/sluice.dev/${version}/${plural}?dryRun=All&fieldValidation=Strict`;
    const { status, body } = await this.#post(path, JSON.stringify(object));
    const answer = JSON.parse(body) as Status & JsonObject;
    const accepted = status === 201;
    return {
      accepted,
      object: accepted ? answer : undefined,
      status,
      message: answer.message ?? "",
      refusals: accepted ? [] : refusalsOf(answer),
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(path: string, body: string): Promise<{ status: number; body: string }> {
    const { url, ca, token } = this.#access;
    return new Promise((resolve, reject) => {
      const call = request(
        `${url}${path}`,
        {
          method: "POST",
          agent: this.#agent,
          ca,
          headers: {
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString();
            resolve({ status: response.statusCode ?? 0, body: text });
          });
        },
      );
      call.on("error", reject);
      call.end(body);
    });
  }
}

interface Status {
  readonly message?: string;
  readonly details?: {
    readonly causes?: readonly { readonly field?: string; readonly message?: string }[];
  };
}

/** The server says this besides the real refusals when it left its rules out. */
const NOT_CHECKED = /^Invalid value: null: some validation rules were not checked/;

function refusalsOf({ message = "", details }: Status): readonly Refusal[] {
  const causes = (details?.causes ?? [])
    .map((cause) => ({ field: cause.field ?? "", message: cause.message ?? "" }))
    .filter((refusal) => !NOT_CHECKED.test(refusal.message));
  if (causes.length > 0) return causes;
  // Unknown fields are found by the decoder, which names them in its message only.
  const unknown = [...message.matchAll(/unknown field "([^"]*)"/g)];
  return unknown.length > 0
    ? unknown.map(([text, field = ""]) => ({ field, message: text }))
    : [{ field: "", message }];
}

/** The moment at which these tests admit objects. */
export const NOW_MS = Date.UTC(2026, 5, 1);

/** What the agent says of the same object; a copy of it is read. */
export function admitCopy(object: JsonObject): Admission & { readonly value: JsonObject } {
  const value = structuredClone(object);
  return { ...admit({ value, origin: { source: "api" } }, NOW_MS), value };
}
