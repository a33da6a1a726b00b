import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";
import { type LogLevel, logLevels } from "../api/requests.js";

export interface AgentLog {
  readonly logger: Logger;
  level(): LogLevel;
  /** Also of all loggers made from this one, which pino leaves as they were. */
  setLevel(level: LogLevel): void;
}

/** JSON lines on standard output, as journald and container runtimes take them. */
export function createLog(
  level: LogLevel,
  nodeName: string,
  destination?: DestinationStream,
): AgentLog {
  const children = new Set<WeakRef<{ level: string }>>();
  const options: LoggerOptions = {
    level,
    base: { node: nodeName },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    onChild: (child) => void children.add(new WeakRef<{ level: string }>(child)),
  };
  const logger: Logger = destination === undefined ? pino(options) : pino(options, destination);
  return {
    logger,
    level: () => logger.level as LogLevel,
    setLevel(next) {
      const before = logger.level;
      logger.level = next;
      for (const reference of children) {
        const child = reference.deref();
        if (child === undefined) children.delete(reference);
        else child.level = next;
      }
      if (before !== next) logger.info({ from: before, to: next }, "log level changed");
    },
  };
}

/** The level that logs more (`step` −1) or less (1), or the same at either end. */
export function neighbourLevel(level: LogLevel, step: -1 | 1): LogLevel {
  return logLevels[logLevels.indexOf(level) + step] ?? level;
}
