#!/usr/bin/env python3
"""corpus.py - traces of agents and of retrieval, as their SDKs send them: runs for benchmarks.

    corpus.py OUT MEGABYTES agent|rag|mix

Writes a run a line (NDJSON) until there are that many megabytes.  The text is real: documentation
and sources that are installed on this machine, mostly used once, so that what repeats is only what
the workload repeats: system prompts, schemas of tools, histories that grow with each call, answers
that parents keep a copy of.

    agent  projects with tools and a long system prompt; each call of the model has the whole
           history in its inputs, each call of a tool adds to it; a chain closes the trace
    rag    a question, a few documents that were found, a call of the model with all of them
    mix    two agents in five

24 traces run at a time and their runs come as they end, so neighbours in the file are of different
traces.  The same machine with the same packages makes the same file again.
"""
import gzip
import hashlib
import json
import math
import os
import random
import sys
import time
import uuid

ROOTS = ('/usr/share/perl5', '/usr/lib/python3', '/usr/lib/python3.11', '/usr/lib/node_modules',
         '/usr/share/doc', '/usr/share/perl')
ENDINGS = ('.py', '.txt', '.md', '.rst', '.js', '.html', '.c', '.h', '.json', '.ts', '.gz',
           'copyright', '.pl', '.pm')
LEAST, MOST = 400, 400_000  # bytes of a file that is worth taking
PROJECTS = 12
TRACES_AT_ONCE = 24
STARTED = 1_790_000_000.0  # the first trace, in seconds since 1970


# ---- text ----

def texts():
    """Every text of the machine once, in an order that is always the same."""
    files = []
    for root in ROOTS:
        for folder, folders, names in os.walk(root):
            folders.sort()
            files += [os.path.join(folder, name) for name in sorted(names)
                      if name.endswith(ENDINGS)]
    random.shuffle(files)
    seen = set()
    for path in files:
        try:
            if not LEAST <= os.path.getsize(path) <= MOST:
                continue
            with (gzip.open if path.endswith('.gz') else open)(path, 'rb') as file:
                content = file.read(MOST)
        except (OSError, EOFError):
            continue
        digest = hashlib.md5(content).digest()
        if digest not in seen:
            seen.add(digest)
            yield content.decode('utf-8', 'ignore')


class Pool:
    """Text to take from; begins anew when all was used."""

    def __init__(self):
        self.source = texts()
        self.rest = ''
        self.rounds = 1

    def take(self, length):
        while len(self.rest) < length:
            try:
                self.rest += next(self.source)
            except StopIteration:
                self.rounds += 1
                self.source = texts()
        result, self.rest = self.rest[:length], self.rest[length:]
        return result

    def some(self, median, spread, least, most):
        """Of a length as lengths of messages are: many short ones, few long ones."""
        length = random.lognormvariate(math.log(median), spread)
        return self.take(int(min(most, max(least, length))))


# ---- parts of runs ----

def uuid7(seconds):
    bits = random.getrandbits(74)
    value = int(seconds * 1000) << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def iso(seconds):
    whole = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))
    return '%s.%06d' % (whole, int(seconds % 1 * 1e6))


def dotted(seconds, run_id):
    return iso(seconds).replace('-', '').replace(':', '') + 'Z' + run_id


def make_tool(pool, project, number):
    parameters = {'arg%d' % i: {'type': random.choice(['string', 'integer', 'boolean']),
                                'description': pool.take(random.randint(40, 160))}
                  for i in range(random.randint(1, 6))}
    return {'type': 'function',
            'function': {'name': 'tool_%d_%d' % (project, number),
                         'description': pool.take(random.randint(150, 900)),
                         'parameters': {'type': 'object', 'properties': parameters,
                                        'required': ['arg0']}}}


def make_project(pool, number):
    name = 'agent-%02d' % number
    return {'name': name,
            'tools': [make_tool(pool, number, i) for i in range(random.randint(4, 14))],
            'prompt': pool.take(random.randint(2000, 12000)),
            'model': random.choice(['gpt-5.2', 'claude-sonnet-5', 'gemini-3-pro']),
            'metadata': {'env': random.choice(['prod', 'staging']),
                         'revision_id': '%x' % random.getrandbits(40),
                         'LANGSMITH_PROJECT': name,
                         'runtime': {'sdk': 'langsmith-py', 'sdk_version': '0.9.%d' % number,
                                     'library': 'langsmith',
                                     'platform': 'Linux-6.1.0-x86_64-with-glibc2.36',
                                     'runtime': 'python', 'py_implementation': 'CPython',
                                     'runtime_version': '3.12.%d' % (number % 9)}}}


class Trace:
    """A project's trace, which makes its runs; the root has the id of the trace."""

    def __init__(self, pool, project, started):
        self.pool, self.project, self.started = pool, project, started
        self.id = uuid7(started)
        self.order = dotted(started, self.id)

    def run(self, name, kind, began, ended, inputs, outputs, tokens=None, root=False):
        project = self.project
        run_id = self.id if root else uuid7(began)
        if tokens:
            outputs['usage_metadata'] = {'input_tokens': tokens[0], 'output_tokens': tokens[1],
                                         'total_tokens': sum(tokens)}
        metadata = dict(project['metadata'], ls_provider='openai', ls_model_name=project['model'],
                        ls_model_type='chat', thread_id=self.id[:13])
        return {'id': run_id, 'trace_id': self.id, 'parent_run_id': None if root else self.id,
                'dotted_order': self.order if root else self.order + '.' + dotted(began, run_id),
                'name': name, 'run_type': kind, 'start_time': iso(began), 'end_time': iso(ended),
                'session_name': project['name'],
                'error': None if random.random() > 0.03 else self.pool.take(300), 'tags': [],
                'extra': {'metadata': metadata,
                          'invocation_params': {'model': project['model'], 'temperature': 0.2,
                                                'stream': False}},
                'inputs': inputs, 'outputs': outputs}


# ---- workloads: each yields the runs of one trace as they end ----

def agent(pool, project, now):
    at = now + random.random() * 5
    trace = Trace(pool, project, at)
    question = {'role': 'user', 'content': pool.some(600, 1.0, 60, 20000)}
    messages = [{'role': 'system', 'content': project['prompt']}, question]
    calls = int(min(70, max(1, random.lognormvariate(math.log(9), 0.8))))
    for i in range(calls):
        ended = at + random.uniform(1, 12)
        tool = random.choice(project['tools'])['function']['name']
        last = i == calls - 1
        said = {'role': 'assistant', 'content': pool.some(350, 0.9, 20, 8000)}
        if not last:
            call = 'call_%016x%08x' % (random.getrandbits(64), random.getrandbits(32))
            arguments = json.dumps({'arg0': pool.some(60, 0.8, 5, 2000)})
            said['tool_calls'] = [{'id': call, 'type': 'function',
                                   'function': {'name': tool, 'arguments': arguments}}]
        tokens = (sum(len(m['content']) for m in messages) // 4, len(said['content']) // 4)
        choice = {'index': 0, 'message': said, 'finish_reason': 'stop' if last else 'tool_calls'}
        yield trace.run('ChatOpenAI', 'llm', at, ended,
                        {'messages': messages[:], 'tools': project['tools']},
                        {'choices': [choice]}, tokens)
        messages.append(said)
        at = ended
        if last:
            break
        ended = at + random.uniform(0.1, 4)
        result = pool.some(2200, 1.2, 50, 60000)
        yield trace.run(tool, 'tool', at, ended, {'input': arguments},
                        {'output': {'content': result, 'type': 'tool', 'name': tool,
                                    'tool_call_id': call, 'status': 'success'}})
        messages.append({'role': 'tool', 'tool_call_id': call, 'content': result})
        at = ended
    yield trace.run('AgentExecutor', 'chain', trace.started, at, {'messages': [question]},
                    {'messages': messages}, root=True)


def rag(pool, project, now):
    ended = now + random.uniform(0.5, 6)
    trace = Trace(pool, project, now)
    question = pool.some(120, 0.8, 20, 3000)
    documents = [{'page_content': pool.some(1200, 0.5, 200, 6000),
                  'metadata': {'source': 'doc-%d' % random.randint(0, 99999),
                               'score': random.random()}}
                 for _ in range(random.randint(3, 8))]
    said = pool.some(900, 0.8, 50, 8000)
    yield trace.run('Retriever', 'retriever', now, now + 0.2, {'query': question},
                    {'documents': documents})
    asked = question + '\n\n' + '\n'.join(d['page_content'] for d in documents)
    yield trace.run('ChatOpenAI', 'llm', now + 0.2, ended,
                    {'messages': [{'role': 'system', 'content': project['prompt'][:3000]},
                                  {'role': 'user', 'content': asked}]},
                    {'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': said},
                                  'finish_reason': 'stop'}]}, (100, 20))
    yield trace.run('RagChain', 'chain', now, ended, {'question': question}, {'answer': said},
                    root=True)


def runs(mode):
    pool = Pool()
    projects = [make_project(pool, i) for i in range(PROJECTS)]
    now, live = STARTED, []
    while True:
        while len(live) < TRACES_AT_ONCE:
            is_agent = mode == 'agent' or (mode == 'mix' and random.random() < 0.4)
            live.append((agent if is_agent else rag)(pool, random.choice(projects), now))
            now += random.expovariate(0.5)
        trace = random.choice(live)
        try:
            yield next(trace)
        except StopIteration:
            live.remove(trace)


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in ('agent', 'rag', 'mix'):
        sys.exit('usage: corpus.py OUT MEGABYTES agent|rag|mix')
    path, wanted, mode = sys.argv[1], float(sys.argv[2]) * 1e6, sys.argv[3]
    random.seed(7)
    sizes = []
    total = 0
    with open(path + '.tmp', 'wb') as file:
        for run in runs(mode):
            line = json.dumps(run, ensure_ascii=False, separators=(',', ':')).encode() + b'\n'
            file.write(line)
            sizes.append(len(line))
            total += len(line)
            if total >= wanted:
                break
    os.rename(path + '.tmp', path)  # what has the name is whole
    sizes.sort()
    print('%s: %d runs, %d bytes; a run %d at the median, %d at 99 %%, %d at most'
          % (path, len(sizes), total, sizes[len(sizes) // 2], sizes[len(sizes) * 99 // 100],
             sizes[-1]), file=sys.stderr)


if __name__ == '__main__':
    main()
