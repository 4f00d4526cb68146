/** Facts that go with a log line, printed as JSON fields. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** Where the core says what a person should know. Never called per packet: what repeats is a counter. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /**
   * There only while debug logs are on, which can change at any time: look again at each use. So `log.debug?.(…)` makes
   * nothing of its arguments while they are off. May be called per flow.
   */
  readonly debug?: ((message: string, fields?: LogFields) => void) | undefined;
}
