import { readLooseAddress } from "../../model/loose-cidr.js";
import { formatAddress } from "../../model/cidr-format.js";
import { usageError } from "../errors.js";

/** One end of a packet, as it was typed. */
export type EndWord = {
  readonly word: string;
  /** Number or name. */
  readonly port: string | undefined;
} & (
  | { readonly kind: "pod"; readonly key: string }
  | { readonly kind: "address"; readonly address: string; readonly family: 4 | 6 }
);

export interface PodWords {
  /** As it was typed; undefined: what the port says. */
  readonly protocol: string | undefined;
  readonly source: EndWord;
  readonly destination: EndWord;
}

const protocols: readonly string[] = ["tcp", "udp", "sctp", "icmp", "icmpv6"];
const example = "Write for example: web/client web/server:80, or udp web/client 192.0.2.1:53";

/** Whether a packet is described by its pods: one of the words names a pod. */
export function nameAPod(words: readonly string[]): boolean {
  return words.some((word) => word.includes("/"));
}

/**
 * Reads `[PROTOCOL] SOURCE DESTINATION[:PORT]`, where an end is `NAMESPACE/NAME`, `pod/NAME`, or an address.
 *
 * @param namespace of pods that are written without one
 * @param protocol that of the option, if there is one
 * @throws SluiceError SLUICE_USAGE that says which word is wrong
 */
export function readPodWords(
  words: readonly string[],
  namespace: string,
  protocol: string | undefined,
): PodWords {
  const [first = "", ...others] = words;
  const isNamed = protocols.includes(first.toLowerCase()) && others.length > 0;
  const [sourceWord, destinationWord, surplus] = isNamed ? others : words;
  if (surplus !== undefined) throw usageError(`the word ${surplus} is one too many`, example);
  if (sourceWord === undefined || destinationWord === undefined) {
    throw usageError(
      `"${words.join(" ")}" is no packet: it needs a source and a destination`,
      example,
    );
  }
  if (isNamed && protocol !== undefined) {
    throw usageError(`both ${first} and --protocol ${protocol} say what the protocol is`);
  }
  return {
    protocol: isNamed ? first.toLowerCase() : readProtocol(protocol),
    source: readEnd(sourceWord, "source", namespace),
    destination: readEnd(destinationWord, "destination", namespace),
  };
}

function readProtocol(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const word = text.toLowerCase();
  if (protocols.includes(word)) return word;
  if (/^\d{1,3}$/.test(word) && Number(word) <= 255) return word;
  throw usageError(
    `--protocol is ${text}`,
    `Write ${protocols.join(", ")}, or a number from 0 to 255`,
  );
}

const podWord = /^(?:(pod)\/)?(?:([^/:]+)\/)?([^/:]+)(?::([^:]*))?$/;
const objectName = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

function readEnd(word: string, role: string, namespace: string): EndWord {
  return word.includes("/") ? readPod(word, role, namespace) : readAddressEnd(word, role);
}

function readPod(word: string, role: string, defaultNamespace: string): EndWord {
  const [, isPod, namespace, name = "", port] = podWord.exec(word) ?? [];
  const owner = namespace ?? (isPod === undefined ? "" : defaultNamespace);
  if (!objectName.test(owner) || !objectName.test(name)) {
    throw usageError(`the ${role} ${word} is no pod`, "Write NAMESPACE/NAME or pod/NAME");
  }
  return { kind: "pod", word, key: `${owner}/${name}`, port: readPort(port, role) };
}

function readAddressEnd(word: string, role: string): EndWord {
  const match = /^(?:\[([^\]]*)\](?::(.*))?|([^:]*)(?::([^:]*))?)$/.exec(word);
  const text = match?.[1] ?? match?.[3] ?? word;
  const address = readLooseAddress(text);
  if (address === undefined) {
    throw usageError(
      `the ${role} ${word} is neither a pod nor an IP address`,
      "Write NAMESPACE/NAME, pod/NAME, 192.0.2.1 or [2001:db8::1], each with :PORT where there is one",
    );
  }
  const port = readPort(match?.[2] ?? match?.[4], role);
  return { kind: "address", word, address: formatAddress(address), family: address.family, port };
}

/** IANA service names, as container ports have them, or a number. */
function readPort(text: string | undefined, role: string): string | undefined {
  if (text === undefined) return undefined;
  const isNumber = /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
  if (isNumber || (/^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(text) && /[a-z]/.test(text))) {
    return text;
  }
  throw usageError(
    `the port of the ${role} is ${text === "" ? "empty" : text}`,
    "Write a number from 1 to 65535, or the name of a container's port",
  );
}
