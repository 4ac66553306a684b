// The official JSON-Schema-Test-Suite. Unless a schema is refused, its invalid values must be
// rejected, and its valid values accepted with their members in at least one order. Usage: node
// suite.mjs TOOL FOLDER, where FOLDER is a copy of the suite (with tests/draft7 in it).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { readdirSync, readFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

const [tool, folder] = process.argv.slice(2);
const drafts = { draft4: 'http://json-schema.org/draft-04/schema#', draft6: 'http://json-schema.org/draft-06/schema#',
    draft7: 'http://json-schema.org/draft-07/schema#', 'draft2019-09': null, 'draft2020-12': null };

// Known differences and their reasons.
const known = [
    [/optional\/format\/(idn-|iri|hostname|email|uri|time|date-time|duration|ipv6)/, 'rare forms of a format are not written'],
    [/optional\/(bignum|float-overflow)/, 'numbers have a bounded length'],
];

const child = spawn(tool, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
async function ask(kind, text) {
    child.stdin.write(`${kind} ${Buffer.byteLength(text)}\n${text}`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the tool has ended');
    return value;
}

function permutations(list) {
    if (list.length < 2) return [list];
    return list.flatMap((x, i) => permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [x, ...rest]));
}

// JSON texts of a value, with the members of its objects in all orders; at most 200.
function spellings(v) {
    if (v === null || typeof v !== 'object') return [JSON.stringify(v)];
    const names = Array.isArray(v) ? null : Object.keys(v);
    const orders = names ? (names.length > 4 ? [names, [...names].sort()] : permutations(names)) : [v.map((_, i) => i)];
    const all = [];
    for (const order of orders) {
        let texts = [''];
        for (const key of order) {
            const parts = spellings(v[key]).map((t) => (names ? JSON.stringify(key) + ': ' : '') + t);
            texts = texts.flatMap((t) => parts.map((p) => (t ? t + ', ' : '') + p)).slice(0, 50);
        }
        all.push(...texts.map((t) => (names ? '{' + t + '}' : '[' + t + ']')));
    }
    return all.slice(0, 200);
}

function files(path) {
    return readdirSync(path, { withFileTypes: true }).flatMap((e) =>
        e.isDirectory() ? files(join(path, e.name)) : e.name.endsWith('.json') ? [join(path, e.name)] : []);
}

let compiled = 0, refused = 0, validGood = 0, validBad = 0, invalidGood = 0, wrong = 0;
const reasons = new Map(), excused = new Map();
for (const [draft, uri] of Object.entries(drafts)) {
    const root = join(folder, 'tests', draft);
    if (!existsSync(root)) continue;
    for (const file of files(root)) {
        // remote schemas, unasserted formats, and 1.0, which JavaScript prints as 1
        if (/\/(zeroTerminatedFloats|content|format|refRemote|dependencies-compatibility|format-assertion|cross-draft|vocabulary)\.json$/.test(file)) continue;
        for (const group of JSON.parse(readFileSync(file, 'utf8'))) {
            let schema = group.schema;
            if (uri && typeof schema === 'object' && !('$schema' in schema)) schema = { $schema: uri, ...schema };
            const answer = await ask('S', JSON.stringify(schema));
            if (!answer.startsWith('O')) {
                refused++;
                const reason = answer.replace(/^E \d+ (JSON Schema, )?/, '').replace(/^#[^:]*: /, '').slice(0, 70);
                reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
                continue;
            }
            compiled++;
            for (const test of group.tests) {
                const texts = spellings(test.data);
                const where = `${file.slice(folder.length + 1)}: ${group.description}: ${test.description}`;
                let accepted = null;
                for (const text of texts) {
                    if ((await ask('I', text)).startsWith('A')) {
                        accepted = text;
                        break;
                    }
                }
                if (test.valid && accepted !== null) validGood++;
                else if (!test.valid && accepted === null) invalidGood++;
                else {
                    const why = known.find(([pattern]) => pattern.test(where));
                    if (why && test.valid) {
                        excused.set(why[1], (excused.get(why[1]) ?? 0) + 1);
                        continue;
                    }
                    console.log(`${test.valid ? 'wrongly rejected' : 'WRONGLY ACCEPTED'} ${where}: ${JSON.stringify(test.data)}`);
                    if (test.valid) validBad++;
                    else wrong++;
                }
            }
        }
    }
}
child.stdin.end();
console.log(`${compiled} schemas compiled, ${refused} refused; valid: ${validGood} accepted, ${validBad} rejected; ` +
    `invalid: ${invalidGood} rejected, ${wrong} accepted`);
for (const [why, n] of excused) console.log(`  ${n} valid values not accepted: ${why}`);
for (const [why, n] of [...reasons].sort((a, b) => b[1] - a[1])) console.log(`  ${n} schemas refused: ${why}`);
process.exit(wrong > 0 || validBad > 0 || compiled === 0 ? 1 : 0);
