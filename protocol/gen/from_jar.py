#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Write protocol/schema/*.kp from the message schemas inside a kafka-clients jar, or compare with them.

usage: from_jar.py [--check] KAFKA_CLIENTS.jar [SCHEMA_DIR]

What the jar does not know (route) and the order of the files stay as they are in SCHEMA_DIR. --check writes
nothing, prints a unified diff (jar against schema) and exits 1 when they differ; comments and spacing of the
.kp files do not count."""
import difflib
import json
import os
import re
import sys
import zipfile

OPEN_END = 1 << 15
SPDX = '# SPDX-License-Identifier: LicenseRef-OfficeFlow'


def load_messages(jar):
    """Kafka's JSON has // comments; strings are kept whole."""
    comment = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')
    with zipfile.ZipFile(jar) as archive:
        for name in sorted(archive.namelist()):
            if re.fullmatch(r'common/message/\w+\.json', name):
                text = archive.read(name).decode('utf-8')
                yield json.loads(comment.sub(lambda m: m.group(1) or '', text))


def parse_range(text):
    if text in (None, '', 'none'):
        return None
    if text.endswith('+'):
        return int(text[:-1]), OPEN_END
    low, _, high = text.partition('-')
    return int(low), int(high or low)


def clip(inner, outer):
    if not inner or inner[1] < outer[0] or inner[0] > outer[1]:
        return None
    return max(inner[0], outer[0]), min(inner[1], outer[1])


def range_text(inner, outer):
    """Empty when `inner` is all of `outer`."""
    if inner == outer:
        return ''
    if inner[1] == outer[1]:
        return f'{inner[0]}+'
    return f'{inner[0]}' if inner[0] == inner[1] else f'{inner[0]}-{inner[1]}'


def default_text(field):
    value = field.get('default')
    if value is None:
        return ''
    value = str(value).lower() if isinstance(value, bool) else str(value)
    if value.startswith('0x'):
        value = str(int(value, 16))
    return '' if value in ('0', 'false', '') else f'= {value}'


def type_text(field, versions):
    kind = field['type']
    is_array = kind.startswith('[]')
    base = kind[2:] if is_array else kind
    if field.get('flexibleVersions') == 'none':
        base += '16'
    if 'fields' in field:
        base = '' if is_array else '{}'
    nullable = clip(parse_range(field.get('nullableVersions')), versions)
    mark = ''
    if nullable:
        if nullable[1] != versions[1]:
            raise SystemExit(f'{field["name"]}: nullable versions end early, which .kp cannot say')
        mark = '?' if nullable[0] == versions[0] else f'?{nullable[0]}+'
    return ('[]' if is_array else '') + base + mark


def field_rows(fields, outer, depth):
    """(depth, name, type, rest) of each field that exists in `outer`, nested ones behind their parent."""
    rows = []
    for field in fields:
        versions = clip(parse_range(field['versions']), outer)
        if not versions:
            continue
        rest = [range_text(versions, outer)]
        if 'tag' in field:
            tagged = clip(parse_range(field['taggedVersions']), versions)
            if tagged[1] != versions[1]:
                raise SystemExit(f'{field["name"]}: tagged versions end early, which .kp cannot say')
            rest.append(f'@{field["tag"]}' + ('' if tagged == versions else f'/{tagged[0]}+'))
        rest.append(default_text(field))
        rest += ['key'] if field.get('mapKey') else []
        rest += ['ignorable'] if field.get('ignorable') else []
        rows.append((depth, field['name'], type_text(field, versions), ' '.join(r for r in rest if r)))
        rows += field_rows(field.get('fields', []), versions, depth + 1)
    return rows


def section(message, word):
    versions = parse_range(message['validVersions'])
    rows = field_rows(message['fields'], versions, 1)
    for common in message.get('commonStructs', []):
        rows.append((1, f'struct {common["name"]}', '', ''))
        rows += field_rows(common['fields'], versions, 2)
    width = max([2 * depth + len(name) for depth, name, kind, _ in rows if kind] + [0]) + 2
    kinds = max([len(kind) for _, _, kind, _ in rows] + [0]) + 2
    lines = [word] if word else []
    for depth, name, kind, rest in rows:
        left = '  ' * depth + name
        lines.append(f'{left:<{width}}{kind:<{kinds}}{rest}'.rstrip())
    return lines


def snake(name):
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()


def head_line(word, name, message, extra=''):
    flexible = parse_range(message['flexibleVersions'])
    return (f'{word} {name}{extra}  versions {message["validVersions"]}'
            + (f'  flexible {flexible[0]}+' if flexible else ''))


def render(jar, route_of):
    """File name -> lines, for all messages of the jar that have a valid version."""
    files = {}
    apis = {}
    for message in load_messages(jar):
        if message['validVersions'] == 'none':
            continue
        if 'apiKey' in message:
            apis.setdefault(message['apiKey'], {})[message['type']] = message
        else:
            word = message['type']
            short = message['name'][:-6] if word == 'header' else message['name']
            lines = [SPDX, f'# Wire format of {message["name"]}.', head_line(word, message['name'], message)]
            files[f'{word}_{snake(short)}.kp'] = lines + section(message, '')
    for key, pair in apis.items():
        request, response = pair['request'], pair['response']
        name = request['name'][:-len('Request')]
        if request['validVersions'] != response['validVersions']:
            raise SystemExit(f'{name}: request and response differ in versions')
        file = f'{key:02}_{snake(name)}.kp'
        head = head_line('api', name, request, f' key {key}')
        head += '  unstable' if request.get('latestVersionUnstable') else ''
        head += f'  on {",".join(sorted(request["listeners"]))}' if request.get('listeners') else ''
        head += f'  route {route_of(file)}'
        files[file] = ([SPDX, f'# Wire format of {name}.', head] + section(request, 'request')
                       + section(response, 'response'))
    return files


def existing(folder, file):
    path = os.path.join(folder, file)
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as handle:
        return handle.read().splitlines()


def normal(lines):
    """Without comments; spacing inside a line reduced to one blank, the indent kept."""
    out = []
    for line in lines:
        line = line.split('#')[0].rstrip()
        if line:
            indent = len(line) - len(line.lstrip())
            out.append(' ' * indent + ' '.join(line.split()))
    return out


def main():
    args = [arg for arg in sys.argv[1:] if arg != '--check']
    if not args:
        raise SystemExit(__doc__)
    folder = args[1] if len(args) > 1 else os.path.join(os.path.dirname(__file__), '..', 'schema')

    def route_of(file):
        words = ' '.join(existing(folder, file)).split()
        return words[words.index('route') + 1] if 'route' in words else 'any'

    files = render(args[0], route_of)
    old = {name for name in os.listdir(folder) if name.endswith('.kp')}
    if '--check' not in sys.argv:
        for name, lines in files.items():
            with open(os.path.join(folder, name), 'w', encoding='utf-8') as handle:
                handle.write('\n'.join(lines) + '\n')
        for name in sorted(old - set(files)):
            os.remove(os.path.join(folder, name))
        return 0
    differences = 0
    for name in sorted(old | set(files)):
        diff = list(difflib.unified_diff(normal(files.get(name, [])), normal(existing(folder, name)),
                                         f'jar/{name}', f'schema/{name}', lineterm=''))
        differences += bool(diff)
        print('\n'.join(diff), end='\n' if diff else '')
    print(f'{len(files)} messages of the jar, {differences} files differ')
    return 1 if differences else 0


if __name__ == '__main__':
    sys.exit(main())
