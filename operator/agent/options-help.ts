/** What the agent's help says behind its options. */
export const afterHelp = `
Every option can also be set by an environment variable (named above) or in the YAML file that
--config names, under its name in camelCase (nodeLabels, eventsPerSecond, …). The command line wins
over the environment, the environment over the file.

What the agent puts into the kernel stays when it ends: packets are judged on by the rules last in
force. sluicectl cleanup takes everything off the node.

Signals:
  SIGTERM, SIGINT   end; the rules stay in force
  SIGUSR1, SIGUSR2  log more, log less

Exit codes:
  0  ended by a signal
  1  could not start, or failed
  2  the command line, the environment or the config file is wrong
`;
