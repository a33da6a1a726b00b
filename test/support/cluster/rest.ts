import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import type { Certificates } from "./certificates.js";

export interface RestRequest {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Replaces the admin's certificate. */
  readonly token?: string;
}

export interface RestAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A bare client of the API server, independent of the one under test. */
export interface RestClient {
  /** Whatever the answer is. Rejects when there is none. */
  send(request: RestRequest): Promise<RestAnswer>;
  /** JSON of an answer of 200 … 299; others are errors that have the answer in their message. */
  call<T>(request: RestRequest): Promise<T>;
  close(): void;
}

/** @param url asked for each request, as the server may move */
export function createRestClient(url: () => string, certificates: Certificates): RestClient {
  const ca = readFileSync(certificates.ca.certificate);
  const cert = readFileSync(certificates.admin.certificate);
  const key = readFileSync(certificates.admin.key);
  const admin = new Agent({ keepAlive: true, ca, cert, key });
  const bearer = new Agent({ keepAlive: true, ca });

  const send = ({ method = "GET", path, body, contentType, token }: RestRequest) =>
    new Promise<RestAnswer>((resolve, reject) => {
      const call = request(new URL(path, url()), {
        method,
        agent: token === undefined ? admin : bearer,
        headers: {
          accept: "application/json",
          ...(body !== undefined && { "content-type": contentType ?? "application/json" }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
      });
      call.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => void (text += part));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
        response.on("error", reject);
      });
      call.on("error", reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });

  return {
    send,
    async call<T>(request: RestRequest) {
      const { status, text } = await send(request);
      if (status >= 200 && status < 300) return JSON.parse(text) as T;
      throw new Error(`${request.method ?? "GET"} ${request.path}: ${status} ${text}`);
    },
    close() {
      admin.destroy();
      bearer.destroy();
    },
  };
}
