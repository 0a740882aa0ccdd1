/**
 * The plugin configuration, compiled once into what a request walks. It belongs to its root and goes with it.
 * Every field of the contract is read; what is wrong is reported (see `section.ts`) and refuses the whole.
 */
import { Ascii, isNameByte } from "./ascii";
import { Backend, TokenHeader } from "./backend";
import { Bypass } from "./bypass";
import { fingerprint } from "./fingerprint";
import { hash } from "./hash";
import { Bytes, lowerCase, Writer } from "./host/bytes";
import { RootContext } from "./host/context";
import { isConfiguredName } from "./host-name";
import { Identity, IdentityMode } from "./identity";
import { Json, JsonError } from "./json";
import { BackendMetrics, UNMATCHED, validationCounter } from "./metrics";
import { Arm, HostTable, Route } from "./route";
import { clearProblem, decode, List, Path, report, Section } from "./section";
import { Algorithm } from "./algorithm";
import { Rules } from "./claims";
import { KeySet, KeySource } from "./key-set";
import { NameTable } from "./name-table";
import { AUTHORIZATION, OWN_PREFIX, SERVERLESS_AUTHORIZATION } from "./names";
import { knowsTheAnswer } from "./signature";
import { Token } from "./token";
import { Validator } from "./validator";

/** Who sees the time of the hops in `Server-Timing`. */
export const enum Expose {
  Never,
  Always,
  /** Requests whose `x-hopgate-trace` is the key. */
  Trace,
}

const DAY_SEC: i32 = 86_400;

export class Config {
  edge: bool = false;
  /** The service is found by the filter chain (waypoints), not by `:authority` (gateways). */
  matchService: bool = false;
  rejectUnmatched: bool = false;
  hosts: HostTable = new HostTable();
  /** Stands for whatever no route matches. */
  unmatched: Backend;
  /** Whom every request must satisfy, matched by a route or not; null: nobody. */
  validator: Validator | null = null;
  /** One for each audience. */
  tokens: Token[] = [];
  /** One for each validator. */
  keySets: KeySet[] = [];
  identity: Identity;
  bypass: Bypass[] = [];
  expose: Expose = Expose.Never;
  /** What `x-hopgate-trace` must say; empty matches nothing. */
  traceKey: Bytes = Bytes.empty();
  /** Changes with everything that the configuration says; eight hexadecimal digits. */
  fingerprint: Bytes = Bytes.empty();

  constructor(
    readonly hop: Bytes,
    root: RootContext,
  ) {
    this.identity = new Identity(root, hop);
    this.unmatched = new Backend(UNMATCHED, new BackendMetrics(hop, UNMATCHED));
  }
}

/** Compiles `text`; whether it is any good is in `firstProblem()`. */
export function compile(text: Bytes, root: RootContext): Config {
  clearProblem();
  const json = new Json(1024);
  if (!json.parse(text)) {
    const what = new Writer(128).append(describe(json.error)).append(Bytes.of(" at byte ")).appendInteger(json.errorAt);
    report(Path.top(), what);
    return new Config(Bytes.empty(), root);
  }
  const top = new Section(json, 0, Path.top());
  const hop = top.text(Bytes.of("hop"));
  if (hop.length > 0 && !isName(hop))
    report(top.pathOf(Bytes.of("hop")), Bytes.of("must be 1 to 63 of a-z, 0-9 and -"));
  const config = new Config(hop, root);
  config.fingerprint = fingerprint(json);
  // For the fingerprint alone: it tells apart two plugins that say the same in all other fields.
  if (top.has(Bytes.of("plugin"))) top.text(Bytes.of("plugin"));
  config.edge = top.flag(Bytes.of("edge"), false);
  config.matchService = top.choice(Bytes.of("match"), Bytes.of("authority, service")) == 1;
  config.rejectUnmatched = top.choice(Bytes.of("unmatched"), Bytes.of("pass, reject")) == 1;
  readIdentity(top, config.identity);
  const validators = readValidators(top.section(Bytes.of("validators"), false), config);
  config.validator = validatorOf(top, validators);
  const backends = readBackends(top.section(Bytes.of("backends"), true), config);
  readRoutes(top.list(Bytes.of("routes"), true), config, backends, validators);
  readBypass(top.list(Bytes.of("bypass"), false), config);
  readTiming(top.section(Bytes.of("timing"), false), config);
  if (config.tokens.length > 0 && !top.has(Bytes.of("identity")))
    report(top.pathOf(Bytes.of("identity")), Bytes.of("is required where a backend has a token"));
  top.end();
  return config;
}

function describe(error: JsonError): Bytes {
  switch (error) {
    case JsonError.Empty:
      return Bytes.of("is empty");
    case JsonError.TooDeep:
      return Bytes.of("is nested deeper than 16 levels");
    case JsonError.TooLarge:
      return Bytes.of("has too many values");
    case JsonError.DuplicateName:
      return Bytes.of("has a duplicate name");
    case JsonError.InvalidText:
      return Bytes.of("has text that is not valid UTF-8 or a wrong escape");
    default:
      return Bytes.of("is not valid JSON");
  }
}

function readIdentity(top: Section, identity: Identity): void {
  const section = top.section(Bytes.of("identity"), false);
  const mode = section.choice(Bytes.of("mode"), Bytes.of("metadata, impersonate, off"));
  if (mode == 1) identity.mode = IdentityMode.Impersonate;
  if (mode == 2) identity.mode = IdentityMode.Off;
  if (section.has(Bytes.of("cluster"))) identity.cluster = section.text(Bytes.of("cluster"));
  identity.timeoutMs = section.integer(Bytes.of("timeoutMs"), 1, 60_000, identity.timeoutMs);
  identity.refreshBeforeSec = section.integer(Bytes.of("refreshBeforeSec"), 1, 3_000, identity.refreshBeforeSec);
  identity.maxWaiters = section.integer(Bytes.of("maxWaiters"), 1, 100_000, identity.maxWaiters);
  const impersonate = Bytes.of("impersonate");
  if (mode == 1) readImpersonation(section.section(impersonate, true), identity);
  else if (section.has(impersonate)) report(section.pathOf(impersonate), Bytes.of("is for mode impersonate alone"));
  section.end();
}

function readImpersonation(section: Section, identity: Identity): void {
  const account = section.text(Bytes.of("serviceAccount"));
  if (!isAccount(account))
    report(section.pathOf(Bytes.of("serviceAccount")), Bytes.of("must be the email of a service account"));
  identity.serviceAccount = account;
  identity.credentialsCluster = section.text(Bytes.of("cluster"));
  identity.credentialsAuthority = section.text(Bytes.of("authority"));
  section.end();
}

/** Nothing that could lead to another path: letters, digits, `-`, `_`, `.` and one `@`, 256 in all. */
function isAccount(email: Bytes): bool {
  const at = email.indexOf(Ascii.At);
  for (let i = 0; i < email.length; i++) {
    const byte = lowerCase(email.at(i));
    if (i != at && !isNameByte(byte) && byte != Ascii.Dot && byte != Ascii.Underscore) return false;
  }
  return at > 0 && at < email.length - 1 && email.length <= 256;
}

function readBackends(section: Section, config: Config): NameTable<Backend> {
  const backends = new NameTable<Backend>();
  const tokens = new NameTable<Token>();
  for (let node = section.firstName(); node >= 0; node = section.nextName(node)) {
    const name = decode(section.json, node);
    const fields = new Section(section.json, node + 1, section.pathOf(name));
    if (!isName(name)) report(fields.path, Bytes.of("the name of a backend must be 1 to 63 of a-z, 0-9 and -"));
    const backend = new Backend(name, new BackendMetrics(config.hop, name));
    backend.through = fields.has(Bytes.of("through"));
    if (backend.through && !isName(fields.text(Bytes.of("through"))))
      report(fields.pathOf(Bytes.of("through")), Bytes.of("must be the name of a hop"));
    if (fields.has(Bytes.of("authority"))) backend.authority = fields.text(Bytes.of("authority"));
    if (fields.has(Bytes.of("token"))) readToken(fields.section(Bytes.of("token"), true), backend, config, tokens);
    fields.end();
    backends.add(name, backend);
  }
  return backends;
}

function readToken(section: Section, backend: Backend, config: Config, tokens: NameTable<Token>): void {
  const audience = section.text(Bytes.of("audience"));
  const header = section.choice(Bytes.of("header"), Bytes.of("auto, authorization, x-serverless-authorization"));
  section.end();
  backend.wantsToken = true;
  if (config.identity.mode == IdentityMode.Off) return;
  let token = tokens.get(audience);
  if (token === null) {
    token = new Token(audience, config.identity);
    tokens.add(audience, token);
    config.tokens.push(token);
  }
  backend.token = token;
  if (header == 1) backend.tokenHeader = TokenHeader.Authorization;
  if (header == 2) backend.tokenHeader = TokenHeader.ServerlessAuthorization;
}

function readRoutes(list: List, config: Config, backends: NameTable<Backend>, validators: NameTable<Validator>): void {
  while (list.next()) {
    const section = list.section();
    const arms = readArms(section, backends);
    const sticky = section.has(Bytes.of("sticky")) ? section.headerName(Bytes.of("sticky")) : null;
    const validator = validatorOf(section, validators);
    const open = section.has(Bytes.of("open")) ? section.text(Bytes.of("open")).length > 0 : false;
    if (open && validator !== null) report(section.pathOf(Bytes.of("open")), Bytes.of("cannot stand beside validate"));
    const isChecked = validator !== null || config.validator !== null;
    if (config.edge && !open && !isChecked && injects(arms)) {
      report(
        section.path,
        Bytes.of(
          "injects a token at an edge: needs validate, or open with the reason why callers are not checked here",
        ),
      );
    }
    const route = new Route(StaticArray.fromArray(arms), sticky, saltOf(section, config.hop), validator);
    readHosts(section.list(Bytes.of("hosts"), true), config, route, section);
    section.end();
  }
}

/** Whether requests on this route get an identity, from this hop or, with mode `off`, from the mesh around it. */
function injects(arms: Arm[]): bool {
  for (let i = 0; i < arms.length; i++) {
    if (arms[i].backend.wantsToken) return true;
  }
  return false;
}

function readArms(section: Section, backends: NameTable<Backend>): Arm[] {
  const arms: Arm[] = [];
  const list = section.list(Bytes.of("to"), true);
  let sum = 0;
  while (list.next()) {
    const fields = list.section();
    const backend = backends.get(fields.text(Bytes.of("backend")));
    sum += fields.has(Bytes.of("weight")) ? fields.integer(Bytes.of("weight"), 0, 100, 0) : 100;
    fields.end();
    if (backend === null) report(fields.pathOf(Bytes.of("backend")), Bytes.of("names no backend"));
    else if (arms.length == 100) report(list.path, Bytes.of("a route has at most 100 arms"));
    else arms.push(new Arm(backend, sum));
  }
  if (section.has(Bytes.of("to")) && sum != 100)
    report(section.pathOf(Bytes.of("to")), Bytes.of("the weights must sum to 100"));
  return arms;
}

/** Of the first host: a session stays on its arm when other routes come and go. */
function saltOf(section: Section, hop: Bytes): u32 {
  const hosts = section.list(Bytes.of("hosts"), true);
  return hosts.next() ? hash(normalised(hosts.text()), hash(hop)) : 0;
}

function readHosts(list: List, config: Config, route: Route, section: Section): void {
  let count = 0;
  while (list.next()) {
    count += 1;
    const host = normalised(list.text());
    const wildcard = host.at(0) == Ascii.Asterisk && host.at(1) == Ascii.Dot;
    const name = Bytes.empty();
    name.point(host, wildcard ? 2 : 0, host.length);
    if (!isConfiguredName(name)) report(list.path, Bytes.of("is not a valid host name"));
    else if (!(wildcard ? config.hosts.addWildcard(name, route) : config.hosts.addExact(name, route))) {
      report(list.path, Bytes.of("is listed twice"));
    }
  }
  if (count == 0) report(section.pathOf(Bytes.of("hosts")), Bytes.of("must list a host"));
}

/** In lower case, without one trailing dot. */
function normalised(host: Bytes): Bytes {
  const size = host.length > 1 && host.at(host.length - 1) == Ascii.Dot ? host.length - 1 : host.length;
  const writer = new Writer(size);
  for (let i = 0; i < size; i++) writer.appendByte(lowerCase(host.at(i)));
  return writer;
}

function readBypass(list: List, config: Config): void {
  while (list.next()) {
    const section = list.section();
    const path = section.text(Bytes.of("path"));
    if (path.length > 0 && (path.at(0) != Ascii.Slash || path.indexOf(Ascii.Question) >= 0)) {
      report(section.pathOf(Bytes.of("path")), Bytes.of("must begin with / and have no query"));
    }
    const hosts: Bytes[] = [];
    const names = section.list(Bytes.of("hosts"), false);
    while (names.next()) {
      const host = normalised(names.text());
      if (!isConfiguredName(host)) report(names.path, Bytes.of("is not a valid host name"));
      hosts.push(host);
    }
    section.end();
    if (config.bypass.length == 64) report(list.path, Bytes.of("at most 64 paths can be bypassed"));
    else config.bypass.push(new Bypass(path, hosts));
  }
}

function readTiming(section: Section, config: Config): void {
  const expose = section.choice(Bytes.of("expose"), Bytes.of("never, always, trace"));
  if (expose == 1) config.expose = Expose.Always;
  if (expose == 2) config.expose = Expose.Trace;
  if (section.has(Bytes.of("key"))) config.traceKey = section.text(Bytes.of("key"));
  section.end();
}

function readValidators(section: Section, config: Config): NameTable<Validator> {
  const validators = new NameTable<Validator>();
  const results = validationCounter(config.hop);
  for (let node = section.firstName(); node >= 0; node = section.nextName(node)) {
    const name = decode(section.json, node);
    const fields = new Section(section.json, node + 1, section.pathOf(name));
    const rules = readRules(fields);
    const header = fields.has(Bytes.of("header")) ? carrierName(fields) : null;
    const forward = fields.flag(Bytes.of("forward"), true);
    const keys = new KeySet(readKeySource(fields.section(Bytes.of("jwks"), true)), rules.algorithm, config.identity);
    fields.end();
    if (!knowsTheAnswer(rules.algorithm))
      report(fields.path, Bytes.of("this proxy cannot check signatures of its algorithm"));
    config.keySets.push(keys);
    validators.add(name, new Validator(rules, keys, header, forward, results));
  }
  return validators;
}

function readRules(section: Section): Rules {
  const rules = new Rules();
  rules.issuers = section.texts(Bytes.of("issuers"));
  rules.audiences = section.texts(Bytes.of("audiences"));
  rules.emails = section.texts(Bytes.of("emails"));
  if (section.choice(Bytes.of("algorithm"), Bytes.of("RS256, ES256")) == 1) rules.algorithm = Algorithm.ES256;
  rules.clockSkewSec = section.integer(Bytes.of("clockSkewSec"), 0, 600, 60);
  rules.maxLifetimeSec = section.integer(Bytes.of("maxLifetimeSec"), 1, DAY_SEC, 3660);
  for (let i = 0; i < rules.emails.length; i++) {
    if (rules.emails[i].length == 1 && rules.emails[i].at(0) == Ascii.Asterisk) rules.anyCaller = true;
  }
  if (rules.anyCaller && rules.emails.length > 1)
    report(section.pathOf(Bytes.of("emails")), Bytes.of("has * and others: * allows any caller"));
  return rules;
}

function readKeySource(section: Section): KeySource {
  const source = new KeySource();
  source.cluster = section.text(Bytes.of("cluster"));
  source.authority = section.text(Bytes.of("authority"));
  source.path = section.text(Bytes.of("path"));
  if (source.path.at(0) != Ascii.Slash) report(section.pathOf(Bytes.of("path")), Bytes.of("must begin with /"));
  source.cacheSec = section.integer(Bytes.of("cacheSec"), 1, DAY_SEC, 600);
  source.maxStaleSec = section.integer(Bytes.of("maxStaleSec"), 0, 7 * DAY_SEC, 3600);
  source.cooldownSec = section.integer(Bytes.of("cooldownSec"), 1, 3600, 30);
  source.timeoutMs = section.integer(Bytes.of("timeoutMs"), 1, 60_000, 2000);
  section.end();
  return source;
}

/** The validator that `validate` names, or null. */
function validatorOf(section: Section, validators: NameTable<Validator>): Validator | null {
  if (!section.has(Bytes.of("validate"))) return null;
  const validator = validators.get(section.text(Bytes.of("validate")));
  if (validator === null) report(section.pathOf(Bytes.of("validate")), Bytes.of("names no validator"));
  return validator;
}

/** The name of the header that carries a token. The two of HTTP and Cloud Run are told by identity: in them `Bearer` comes first. */
function carrierName(section: Section): Bytes {
  const name = section.headerName(Bytes.of("header"));
  if (name.startsWith(OWN_PREFIX))
    report(section.pathOf(Bytes.of("header")), Bytes.of("must not begin with x-hopgate-"));
  if (name.equals(AUTHORIZATION)) return AUTHORIZATION;
  return name.equals(SERVERLESS_AUTHORIZATION) ? SERVERLESS_AUTHORIZATION : name;
}

/** Names of hops and backends: `[a-z0-9-]`, 1 to 63. */
function isName(name: Bytes): bool {
  for (let i = 0; i < name.length; i++) {
    if (!isNameByte(name.at(i))) return false;
  }
  return name.length > 0 && name.length <= 63;
}
