// Random schemas and random texts of each, validated by ajv: every text that the grammar accepts
// must be valid. Usage: node ajv.mjs TOOL FOLDER [COUNT [SEED]], where FOLDER holds ajv and
// ajv-formats.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const [tool, folder, count = '400', firstSeed = '1'] = process.argv.slice(2);
const require = createRequire(folder + '/');
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;

let state = 0;
function random(n) { // xorshift32
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    return (state >>> 0) % n;
}
const pick = (list) => list[random(list.length)];
const sometimes = (n) => random(n) === 0;

const patterns = ['^[a-z]+$', 'b', '^a|z$', '^\\d{2,4}$', '^[^"\\\\]*$', '^(foo|bar)+', '^(?!x).*$', '^.{0,3}$', '\\s', '^\\w+@\\w+$'];
const formats = ['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid', 'uri', 'uri-reference', 'json-pointer'];
const keys = ['a', 'b', 'c', 'ab', 'x_1', 'x_2', 'é', 'k"q', ''];
const demanded = keys.slice(0, -1); // ajv treats a missing key '' as present

function scalarValue() {
    return pick([null, true, false, 0, 1, -3, 2.5, 1e3, 'a', 'ab', 'x"y', 'é\n', '']);
}

function stringSchema() {
    const s = { type: 'string' };
    if (sometimes(3)) s.pattern = pick(patterns);
    else if (sometimes(3)) s.format = pick(formats);
    if (!s.format && sometimes(2)) s.minLength = random(3);
    if (!s.format && sometimes(2)) s.maxLength = (s.minLength ?? 0) + 1 + random(6);
    return s;
}

function numberSchema() {
    const s = { type: pick(['integer', 'number']) };
    const low = pick([-1000, -17, -1.5, 0, 0.1, 3, 10, 99.99]);
    if (sometimes(2)) s[pick(['minimum', 'exclusiveMinimum'])] = low;
    if (sometimes(2)) s[pick(['maximum', 'exclusiveMaximum'])] = low + pick([2, 10.5, 1000, 12345.678]);
    if (sometimes(4)) s.multipleOf = s.type === 'integer' ? pick([1, 2, 3, 5, 7, 10, 12, 60]) : pick([0.5, 0.25, 1, 2.5]);
    return s;
}

function arraySchema(depth) {
    const s = { type: 'array' };
    if (sometimes(3)) s.prefixItems = Array.from({ length: 1 + random(3) }, () => schema(depth - 1));
    if (sometimes(4)) s.items = false;
    else if (!sometimes(4)) s.items = schema(depth - 1);
    if (sometimes(2)) s.minItems = random(3);
    if (sometimes(2)) s.maxItems = (s.minItems ?? 0) + random(4);
    if (sometimes(4)) s.contains = schema(0);
    return s;
}

function objectSchema(depth) {
    const s = { type: 'object', properties: {} };
    for (const key of keys) if (sometimes(3)) s.properties[key] = schema(depth - 1);
    if (sometimes(2)) s.required = demanded.filter(() => sometimes(4));
    if (sometimes(2)) s.additionalProperties = sometimes(2) ? false : schema(depth - 1);
    if (sometimes(4)) s.patternProperties = { [pick(['^x_', 'b$', '[0-9]'])]: schema(depth - 1) };
    if (sometimes(6)) s.minProperties = random(3);
    if (sometimes(6)) s.maxProperties = 1 + random(4);
    if (sometimes(8)) s.dependentRequired = { [pick(demanded)]: [pick(demanded)] };
    return s;
}

function schema(depth) {
    if (depth <= 0 || sometimes(3))
        return pick([() => stringSchema(), () => numberSchema(), () => ({ type: pick(['boolean', 'null']) }),
            () => ({ enum: Array.from({ length: 1 + random(4) }, scalarValue) }), () => ({ const: scalarValue() }),
            () => ({ type: ['string', 'null'] }), () => ({ not: { type: pick(['string', 'integer', 'object']) } }), () => true])();
    return pick([() => arraySchema(depth), () => objectSchema(depth), () => objectSchema(depth),
        () => ({ anyOf: [schema(depth - 1), schema(depth - 1)] }), () => ({ oneOf: [schema(depth - 1), schema(depth - 1)] }),
        () => ({ allOf: [objectSchema(depth - 1), objectSchema(depth - 1)] }), () => ({ $ref: '#/$defs/d' + random(2) }),
        () => ({ if: schema(0), then: schema(depth - 1), else: schema(depth - 1) }),
        () => ({ ...objectSchema(depth - 1), not: { required: [pick(demanded)] } })])();
}

const child = spawn(tool, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
async function ask(kind, size, text = '') {
    child.stdin.write(`${kind} ${size}\n${text}`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the tool has ended');
    return value;
}

let schemas = 0, refused = 0, texts = 0, unfinished = 0, wrong = 0, rejected = 0;
for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(count); seed++) {
    state = Math.imul(seed, 2654435761) || 1;
    const s = schema(3);
    if (typeof s === 'object') s.$defs = { d0: schema(1), d1: schema(2) };
    const ajv = addFormats(new Ajv({ strict: false, multipleOfPrecision: 9 }));
    let validate;
    try {
        validate = ajv.compile(s);
    } catch (e) { // a $ref to itself
        continue;
    }
    const text = JSON.stringify(s);
    const answer = await ask(sometimes(2) ? 'S' : 'T', Buffer.byteLength(text), text);
    schemas++;
    if (!answer.startsWith('O')) {
        refused++;
        continue;
    }
    for (let i = 1; i <= 10; i++) {
        const instance = await ask('W', seed * 100 + i);
        if (/^F 0 (too long|more than)/.test(instance)) {
            unfinished++;
            continue;
        }
        texts++;
        let value;
        try {
            value = JSON.parse(instance);
        } catch (e) {
            console.log(`seed ${seed}: not JSON: ${instance}\n  ${text}`);
            wrong++;
            continue;
        }
        let good;
        try {
            good = validate(value);
        } catch (e) { // a cycle of $refs, which ajv follows endlessly
            continue;
        }
        if (!good) {
            const errors = validate.errors.map((e) => `${e.instancePath} ${e.message}`).join('; ');
            // oneOf whose branches overlap and cannot be negated is taken as anyOf (docs/CONSTRAINED.md)
            if (validate.errors.some((e) => e.keyword === 'oneOf' && e.params.passingSchemas)) {
                rejected++;
                continue;
            }
            console.log(`seed ${seed}: ${instance}\n  ${errors}\n  ${text}`);
            wrong++;
        }
    }
}
child.stdin.end();
console.log(`${schemas} schemas, ${refused} refused; ${texts} texts valid but ${wrong}; ${rejected} satisfy two branches of a ` +
    `oneOf; ${unfinished} without end`);
process.exit(wrong > 0 || texts === 0 ? 1 : 0);
