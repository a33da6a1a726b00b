import { formatCidr } from "../model/cidr-format.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Attachment } from "./attachment.js";
import type { Attachments, CniLog } from "./attachments.js";
import { cniError, toFailure } from "./errors.js";
import type { RawRequest } from "./frame.js";
import { gatewayV4, gatewayV6, hostMac } from "./gateway.js";
import { type NetworkConfig, readConfigVersion, readNetworkConfig } from "./network-config.js";
import { type AttachmentVariables, readAttachment, readVerb, type Verb } from "./request.js";
import { type CniResult, emptyResult, extendResult, formatResult } from "./result.js";
import { cniVersions, newestVersion, requireVerb } from "./versions.js";

export interface PluginOptions {
  readonly attachments: Attachments;
  /** Why pods cannot be attached yet; undefined when they can. */
  readonly notReady: () => string | undefined;
  /** Of the uplink, for pods whose network configuration names none. */
  readonly mtuBytes: () => number;
  readonly log: CniLog;
}

/** What the shim prints, and its exit code. */
export interface PluginAnswer {
  readonly exitCode: number;
  readonly text: string;
  /** Takes back what was done, for when the runtime cannot be told of it. */
  readonly undo?: () => Promise<void>;
}

export type Plugin = (request: RawRequest) => Promise<PluginAnswer>;

/** The verbs of the CNI specification 1.1.0. The returned function throws nothing. */
export function createPlugin(options: PluginOptions): Plugin {
  const { attachments, log } = options;

  async function add(request: RawRequest): Promise<PluginAnswer> {
    const config = readNetworkConfig(request.config);
    const variables = readAttachment(request, "ADD");
    const reason = options.notReady();
    if (reason !== undefined) throw cniError("SLUICE_CNI_TRY_AGAIN", reason);
    const startMs = performance.now();
    const { containerId, ifName, pod } = variables;
    const attachment = await attachments.add({
      containerId,
      ifName,
      network: config.name,
      netns: requireNetns(variables),
      mtu: config.mtu ?? options.mtuBytes(),
      wantedAddresses: config.wantedAddresses,
      wantedMac: config.wantedMac,
      bandwidth: config.bandwidth,
      ports: config.ports,
      pod,
    });
    const tookMs = Math.round(performance.now() - startMs);
    log.info({ containerId, ifName, pod, ...attachment.addresses, tookMs }, "attached");
    const result = extendResult(config.previous ?? emptyResult, resultOf(attachment, config));
    return {
      ...success(formatResult(result, config.version)),
      undo: () => attachments.delete(attachment),
    };
  }

  async function remove(request: RawRequest): Promise<PluginAnswer> {
    // A configuration that became invalid must not keep its containers from being removed.
    const { containerId, ifName } = readAttachment(request, "DEL");
    await attachments.delete({ containerId, ifName });
    log.info({ containerId, ifName }, "detached");
    return success();
  }

  async function check(request: RawRequest): Promise<PluginAnswer> {
    const config = readNetworkConfig(request.config);
    requireVerb("CHECK", config.version);
    const variables = readAttachment(request, "CHECK");
    if (config.previous === undefined) {
      throw cniError("SLUICE_CNI_CONFIG", "CHECK needs the field prevResult");
    }
    await attachments.check(
      variables,
      config.previous.ips.map(({ address }) => canonicalAddress(address)),
    );
    return success();
  }

  async function collect(request: RawRequest): Promise<PluginAnswer> {
    const config = readNetworkConfig(request.config);
    requireVerb("GC", config.version);
    await attachments.keepOnly(config.name, config.valid);
    return success();
  }

  async function status(request: RawRequest): Promise<PluginAnswer> {
    requireVerb("STATUS", readNetworkConfig(request.config).version);
    const reason = options.notReady() ?? (await attachments.problem());
    if (reason !== undefined) throw cniError("SLUICE_CNI_NOT_READY", reason);
    return success();
  }

  const handlers: Record<Verb, (request: RawRequest) => Promise<PluginAnswer>> = {
    ADD: add,
    DEL: remove,
    CHECK: check,
    GC: collect,
    STATUS: status,
    VERSION: async () => success({ cniVersion: newestVersion, supportedVersions: cniVersions }),
  };

  return async (request) => {
    try {
      return await handlers[readVerb(request)](request);
    } catch (err) {
      const verb = request.environment.get("CNI_COMMAND");
      log.warn({ err, verb, containerId: request.environment.get("CNI_CONTAINERID") }, "refused");
      return failureAnswer(err, request);
    }
  };
}

/** What a runtime is told of an error. */
export function failureAnswer(error: unknown, request?: RawRequest): PluginAnswer {
  const failure = toFailure(error, versionFor(request));
  return { exitCode: 1, text: `${JSON.stringify(failure)}\n` };
}

/** The version of the configuration, if it can be read that far. */
function versionFor(request: RawRequest | undefined): string {
  try {
    return request === undefined ? newestVersion : readConfigVersion(request.config);
  } catch {
    return newestVersion;
  }
}

function success(result?: object): PluginAnswer {
  return { exitCode: 0, text: result === undefined ? "" : `${JSON.stringify(result)}\n` };
}

function requireNetns({ netns }: AttachmentVariables): string {
  if (netns !== undefined) return netns;
  throw cniError("SLUICE_CNI_ENVIRONMENT", "CNI_NETNS is not set");
}

/** The address as Sluice writes it: other plugins may have written it anew. */
function canonicalAddress(text: string): string {
  const bare = text.replace(/\/\d+$/, "");
  const cidr = readCidr(bare, ANY_CIDR);
  return isFault(cidr) ? bare : formatCidr(cidr).replace(/\/\d+$/, "");
}

function resultOf(attachment: Attachment, { dns }: NetworkConfig): CniResult {
  const { hostName, ifName, mac, mtu, netns, addresses } = attachment;
  const { ipv4, ipv6 } = addresses;
  const own = { interface: 1 };
  return {
    interfaces: [
      { name: hostName, mac: hostMac, mtu },
      { name: ifName, mac, mtu, ...(netns === undefined ? {} : { sandbox: netns }) },
    ],
    ips: [
      ...(ipv4 === undefined ? [] : [{ address: `${ipv4}/32`, gateway: gatewayV4, ...own }]),
      ...(ipv6 === undefined ? [] : [{ address: `${ipv6}/128`, gateway: gatewayV6, ...own }]),
    ],
    routes: [
      ...(ipv4 === undefined ? [] : [{ dst: "0.0.0.0/0", gw: gatewayV4 }]),
      ...(ipv6 === undefined ? [] : [{ dst: "::/0", gw: gatewayV6 }]),
    ],
    dns,
  };
}
