#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Generate C structs, descriptor tables, API table and error table from protocol/schema.

usage: gen.py [--check]     --check writes nothing and exits 1 when a committed file differs.

A line of a .kp file is one field, two blanks of indent a level (protocol/README.md):
  Name  type[?[N+]]  [versions]  [@tag[/N+]]  [= default]  [key]  [ignorable]
"""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
SCHEMA = os.path.join(ROOT, 'schema')
VERSION_MAX = 32767
DEPTH_MAX = 8         # structs inside structs; bounds the interpreter's recursion
FIELDS_MAX = 63       # of one struct; the JSON reader keeps a bit for each, and one for its unknown tags
# name in the schema: (kp_type, C type, smallest wire size, the same in flexible versions, range of defaults)
TYPES = {
    'bool': ('KP_BOOL', 'bool', 1, 1, (0, 1)),
    'int8': ('KP_I8', 'int8_t', 1, 1, (-2**7, 2**7 - 1)),
    'int16': ('KP_I16', 'int16_t', 2, 2, (-2**15, 2**15 - 1)),
    'uint16': ('KP_U16', 'uint16_t', 2, 2, (0, 2**16 - 1)),
    'int32': ('KP_I32', 'int32_t', 4, 4, (-2**31, 2**31 - 1)),
    'int64': ('KP_I64', 'int64_t', 8, 8, (-2**63, 2**63 - 1)),
    'float64': ('KP_F64', 'double', 8, 8, None),
    'uuid': ('KP_UUID', 'kc_uuid', 16, 16, None),
    'string': ('KP_STRING', 'kc_bytes', 2, 1, None),
    'string16': ('KP_STRING', 'kc_bytes', 2, 2, None),
    'bytes': ('KP_BYTES', 'kc_bytes', 4, 1, None),
    'records': ('KP_RECORDS', 'kc_bytes', 4, 1, None),
}
POINTER_LIKE = ('string', 'string16', 'bytes', 'records')
ROUTES = ('any', 'controller', 'group', 'transaction', 'share', 'leader', 'broker')
LISTENERS = {'broker': 'KP_LISTENER_BROKER', 'controller': 'KP_LISTENER_CONTROLLER'}
ERROR_FLAGS = {'retriable': 'RETRIABLE', 'refresh-metadata': 'REFRESH_METADATA', 'auth': 'AUTH', 'config': 'CONFIG',
               'abortable': 'ABORTABLE', 'fatal': 'FATAL'}
CPP_WORDS = set('''alignas alignof and asm auto bool break case catch char class concept const constexpr continue
    decltype default delete do double else enum explicit export extern false final float for friend goto if inline
    int long mutable namespace new noexcept not nullptr operator or override private protected public register
    requires return short signed sizeof static struct switch template this throw true try typedef typeid typename
    union unsigned using virtual void volatile while xor'''.split())


class SchemaError(Exception):
    pass


def snake(name):
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()


def lower_first(name):
    return name[0].lower() + name[1:]


def singular(word):
    if word.endswith('ies'):
        return word[:-3] + 'y'
    if re.search(r'(ch|sh|x|ss)es$', word):
        return word[:-2]
    return word[:-1] if word.endswith('s') and not word.endswith(('ss', 'us')) else word


def parse_range(text, outer):
    match = re.fullmatch(r'(\d+)(?:(\+)|-(\d+))?', text)
    if not match:
        raise SchemaError(f'bad version range {text}')
    low = int(match[1])
    high = outer[1] if match[2] else int(match[3] or low)
    if not outer[0] <= low <= high <= outer[1]:
        raise SchemaError(f'versions {text} are not within {outer[0]}-{outer[1]}')
    return low, high


class Struct:
    def __init__(self, name, versions):
        self.name, self.versions, self.fields, self.cname = name, versions, [], None


class Field:
    """One line of the schema."""

    def __init__(self, words, outer):
        self.name, kind = words[0], words[1]
        self.versions, self.tag, self.default = outer, -1, None
        self.is_key = self.is_ignorable = False
        self.struct = None          # of an inline or common struct, set later
        match = re.fullmatch(r'(\[\])?(\w+|\{\})?(?:(\?)(?:(\d+)\+)?)?', kind)
        if not re.fullmatch(r'[A-Za-z]\w*', self.name) or not match or kind in ('', '?'):
            raise SchemaError('bad name or type')
        self.is_array, self.base, nullable = bool(match[1]), match[2] or '{}', match[3]
        rest = words[2:]
        if rest and rest[0][0].isdigit():
            self.versions = parse_range(rest.pop(0), outer)
        self.nullable_from = -1 if not nullable else int(match[4] or self.versions[0])
        self.tagged_from = self.versions[0]
        while rest:
            self.attribute(rest.pop(0), rest)
        self.validate()

    def attribute(self, word, rest):
        tag = re.fullmatch(r'@(\d+)(?:/(\d+)\+)?', word)
        if tag:
            self.tag, self.tagged_from = int(tag[1]), int(tag[2] or self.versions[0])
        elif word == '=' and rest:
            self.default = rest.pop(0)
        elif word == 'key':
            self.is_key = True
        elif word == 'ignorable':
            self.is_ignorable = True
        else:
            raise SchemaError(f'unexpected word {word}')

    @property
    def is_struct(self):
        return self.base not in TYPES

    def validate(self):
        for version in [self.nullable_from] * (self.nullable_from >= 0) + [self.tagged_from]:
            if not self.versions[0] <= version <= self.versions[1]:
                raise SchemaError('nullable or tagged from a version the field is not in')
        can_be_null = self.is_array or self.is_struct or self.base in POINTER_LIKE
        if self.nullable_from >= 0 and not can_be_null:
            raise SchemaError(f'{self.base} can not be null')
        if self.is_struct and not self.is_array and self.nullable_from >= 0 and self.default != 'null':
            raise SchemaError('a nullable struct defaults to null')
        if self.base == 'records' and self.is_array:
            raise SchemaError('no arrays of records')
        if self.default == 'null':
            if self.nullable_from != self.versions[0]:
                raise SchemaError('defaults to null but is not nullable in all its versions')
        elif self.default is not None:
            bounds = None if self.is_array or self.is_struct else TYPES[self.base][4]
            value = {'true': 1, 'false': 0}.get(self.default, self.default)
            if not bounds or not re.fullmatch(r'-?\d+', str(value)) or not bounds[0] <= int(value) <= bounds[1]:
                raise SchemaError(f'bad default {self.default}')
            self.default = int(value)

    @property
    def is_null_by_default(self):
        return self.default == 'null' or (self.base == 'records' and self.nullable_from >= 0)


class Message:
    """A root struct: a request, a response, a header or a data message."""

    def __init__(self, kind, name, versions, flexible):
        self.kind, self.name, self.versions, self.flexible = kind, name, versions, flexible
        self.root = Struct(name, versions)
        self.common, self.structs = {}, []      # structs: inner ones before those that hold them
        short = {'request': '_req', 'response': '_resp'}.get(kind, '')
        self.cname = 'kp_' + snake(name) + short

    def parse(self, lines):
        stack = [self.root]
        for number, depth, words in lines:
            try:
                if depth == 1 and words[0] == 'struct':
                    struct = self.common[words[1]] = Struct(words[1], self.versions)
                    stack = [self.root, struct]
                    continue
                if not 1 <= depth <= len(stack):
                    raise SchemaError('bad indent')
                del stack[depth:]
                field = Field(words, stack[-1].versions)
                stack[-1].fields.append(field)
                if field.base == '{}':
                    field.struct = Struct(field.name, field.versions)
                    stack.append(field.struct)
            except (SchemaError, IndexError) as error:
                raise SchemaError(f'line {number}: {error}')
        self.resolve(self.root, self.cname, set(), 0)

    def resolve(self, struct, cname, taken, depth):
        """Name the structs, tie common ones to their uses, check what only the whole message shows."""
        struct.cname = cname
        taken.add(cname)
        if depth > DEPTH_MAX or len(struct.fields) > FIELDS_MAX:
            raise SchemaError(f'{struct.name}: nested too deep, or too many fields')
        tags = [field.tag for field in struct.fields if field.tag >= 0]
        if tags != sorted(set(tags)):
            raise SchemaError(f'{struct.name}: tags must ascend')
        names = [lower_first(field.name) for field in struct.fields]
        if len(set(names)) != len(names) or not names:
            raise SchemaError(f'{struct.name}: no field, or one name twice')
        for field in struct.fields:
            if field.tag >= 0 and field.tagged_from < self.flexible:
                raise SchemaError(f'{field.name}: tagged in a version that is not flexible')
            if field.is_struct:
                self.resolve_field(struct, field, taken, depth)
        self.structs.append(struct)

    def resolve_field(self, parent, field, taken, depth):
        if field.struct is None:
            field.struct = self.common.get(field.base)
            if field.struct is None:
                raise SchemaError(f'{field.name}: unknown type {field.base}')
            if field.struct in self.structs:
                return
            word = snake(field.base)
            word = word[len(snake(self.name)) + 1:] if word.startswith(snake(self.name) + '_') else word
        else:
            word = snake(field.name)
            word = singular(word) if field.is_array else word
        cname = f'{self.cname}_{word}'
        self.resolve(field.struct, cname if cname not in taken else f'{parent.cname}_{word}', taken, depth + 1)

    def wire_min(self, struct):
        """Fewest bytes of one struct over the versions it can be in: bounds hostile array counts."""
        return max(1, min(self.wire_size(struct, v) for v in range(struct.versions[0], struct.versions[1] + 1)))

    def wire_size(self, struct, version):
        flexible = version >= self.flexible
        size = 1 if flexible else 0
        for field in struct.fields:
            if not field.versions[0] <= version <= field.versions[1]:
                continue
            if field.tag >= 0 and version >= field.tagged_from:
                continue
            if field.is_array:
                size += 1 if flexible else 4
            elif not field.is_struct:
                size += TYPES[field.base][3 if flexible else 2]
            else:
                size += 1 if field.nullable_from >= 0 else self.wire_size(field.struct, version)
        return size


class Api:
    def __init__(self, request, response, options):
        self.request, self.response, self.name = request, response, request.name
        self.key = int(options['key'])
        self.route = options.get('route', 'any')
        self.listeners = options.get('on', '').split(',')
        self.stable_max = request.versions[1] - ('unstable' in options)
        if self.route not in ROUTES or not set(self.listeners) <= set(LISTENERS):
            raise SchemaError(f'{self.name}: bad route or listener')


def read_lines(path):
    with open(path, encoding='utf-8') as handle:
        for number, line in enumerate(handle, 1):
            line = line.split('#')[0].rstrip()
            if line:
                indent = len(line) - len(line.lstrip(' '))
                if indent % 2:
                    raise SchemaError(f'line {number}: bad indent')
                yield number, indent // 2, line.split()


def parse_file(path):
    """(messages, api or None) of one .kp file."""
    lines = list(read_lines(path))
    words = lines[0][2]
    options, rest = {}, words[2:]
    while rest:
        word = rest.pop(0)
        if word not in ('key', 'versions', 'flexible', 'on', 'route', 'unstable'):
            raise SchemaError(f'unexpected word {word}')
        options[word] = True if word == 'unstable' else rest.pop(0)
    versions = parse_range(options['versions'], (0, VERSION_MAX - 1))
    flexible = int(options['flexible'].rstrip('+')) if 'flexible' in options else VERSION_MAX
    if words[0] != 'api':
        message = Message(words[0], words[1], versions, flexible)
        message.parse(lines[1:])
        return [message], None
    split = next(i for i, line in enumerate(lines) if line[2] == ['response'])
    request = Message('request', words[1], versions, flexible)
    response = Message('response', words[1], versions, flexible)
    request.parse(lines[2:split])
    response.parse(lines[split + 1:])
    return [request, response], Api(request, response, options)


def parse_schema():
    messages, apis = [], []
    for file in sorted(name for name in os.listdir(SCHEMA) if name.endswith('.kp')):
        try:
            found, api = parse_file(os.path.join(SCHEMA, file))
        except (SchemaError, KeyError, IndexError, StopIteration, ValueError) as error:
            raise SystemExit(f'{file}: {error!r}')
        messages += found
        apis += [api] if api else []
    names = [struct.cname for message in messages for struct in message.structs]
    keys = [api.key for api in apis]
    if len(set(names)) != len(names) or len(set(keys)) != len(keys):
        raise SystemExit('a C name or an API key is there twice: ' + ' '.join(sorted(set(
            name for name in names if names.count(name) > 1))))
    return messages, sorted(apis, key=lambda api: api.key)


def parse_errors():
    errors = [words for _, _, words in read_lines(os.path.join(SCHEMA, 'errors.txt'))]
    codes = [int(words[0]) for words in errors]
    if codes != list(range(codes[0], codes[0] + len(codes))):
        raise SystemExit('errors.txt: codes must ascend without a gap')
    return [(int(words[0]), words[1], [ERROR_FLAGS[flag] for flag in words[2:]]) for words in errors]


def versions_text(versions):
    return f'{versions[0]}' if versions[0] == versions[1] else f'{versions[0]}-{versions[1]}'


def c_name(field):
    name = snake(field.name)
    return name + '_' if name in CPP_WORDS else name


def c_note(field, struct):
    notes = [f'{versions_text(field.versions)}'] if field.versions != struct.versions else []
    if field.nullable_from >= 0:
        always = field.nullable_from == field.versions[0]
        notes.append('nullable' if always else f'nullable {field.nullable_from}+')
    notes += [f'tag {field.tag}'] if field.tag >= 0 else []
    if field.is_null_by_default:
        notes.append('default null')
    elif field.default:
        notes.append(f'default {field.default}')
    return f' /**< {", ".join(notes)} */' if notes else ''


def c_struct(struct):
    out = [f'typedef struct {struct.cname} {{']
    for field in struct.fields:
        base = field.struct.cname if field.is_struct else TYPES[field.base][1]
        if field.is_array:
            text = f'struct {{ {base} *items; int32_t count; }} {c_name(field)};'
        else:
            pointer = '*' if field.is_struct and field.nullable_from >= 0 else ''
            text = f'{base} {pointer}{c_name(field)};'
        out.append('    ' + text + c_note(field, struct))
    return out + ['    kp_tags unknown_tags;', f'}} {struct.cname};', '']


def banner(what):
    return ['/* SPDX-License-Identifier: LicenseRef-OfficeFlow',
            f' * {what} Generated by gen/gen.py from protocol/schema. Do not edit. */']


def public_messages(messages, apis):
    out = banner('The messages of Apache Kafka as C structs, one for all versions of a message.')
    out += ['#ifndef KAFKAC_UNSTABLE_MESSAGES_H', '#define KAFKAC_UNSTABLE_MESSAGES_H', '',
            '#include <kafkac/unstable/message_types.h>', '', '/* clang-format off */',
            '#ifdef __cplusplus', 'extern "C" {', '#endif', '',
            '/** Keys of the APIs. */', 'enum {']
    out += [f'    KP_API_{snake(api.name).upper()} = {api.key},' for api in apis] + ['};', '']
    for message in messages:
        flexible = f', flexible {message.flexible}+' if message.flexible <= message.versions[1] else ''
        out += [f'/* {message.name} {message.kind}, versions {versions_text(message.versions)}{flexible} */', '']
        for struct in message.structs:
            out += c_struct(struct)
    return out + ['#ifdef __cplusplus', '}', '#endif', '/* clang-format on */', '#endif']


def public_errors(errors):
    out = banner("Names of Kafka's error codes.")
    out += ['#ifndef KAFKAC_UNSTABLE_ERRORS_H', '#define KAFKAC_UNSTABLE_ERRORS_H', '', '/* clang-format off */',
            'enum {']
    return out + [f'    KC_E_{name} = {code},' for code, name, _ in errors] + ['};', '/* clang-format on */', '#endif']


def internal_messages(messages, apis):
    out = banner('The descriptor of every message and struct.')
    out += ['#ifndef KP_GENERATED_MESSAGES_H', '#define KP_GENERATED_MESSAGES_H', '', '#include "protocol/api.h"',
            '', '#include <kafkac/unstable/messages.h>', '', '/* clang-format off */']
    for message in messages:
        out.append(f'extern const kp_message {message.cname}_message;')
        out += [f'extern const kp_struct_desc {struct.cname}_desc;' for struct in message.structs]
    out += ['', f'#define KP_API_COUNT {len(apis)}', f'#define KP_API_KEY_MAX {apis[-1].key}', '',
            '/** By key, ascending; and the index of each key in it, -1: none. */',
            'extern const kp_api kp_api_table[KP_API_COUNT];',
            'extern const int8_t kp_api_index[KP_API_KEY_MAX + 1];', '',
            '/** Messages that are neither request nor response nor header; ends with NULL. */',
            'extern const kp_message *const kp_data_messages[];']
    return out + ['/* clang-format on */', '#endif']


def field_row(field, struct, message):
    flags = ['KP_F_ARRAY'] if field.is_array else []
    flags += ['KP_F_ALWAYS'] if field.versions == message.versions and field.tag < 0 else []
    flags += ['KP_F_IGNORABLE'] if field.is_ignorable else []
    flags += ['KP_F_MAP_KEY'] if field.is_key else []
    flags += ['KP_F_STR16'] if field.base == 'string16' else []
    flags += ['KP_F_DEFAULT_NULL'] if field.is_null_by_default else []
    number = 0 if field.is_null_by_default else field.default or 0
    kind = 'KP_STRUCT' if field.is_struct else TYPES[field.base][0]
    sub = f'&{field.struct.cname}_desc' if field.is_struct else 'NULL'
    c_type = field.struct.cname if field.is_struct else TYPES[field.base][1]
    return (f'    {{"{lower_first(field.name)}", offsetof({struct.cname}, {c_name(field)}), {kind}, '
            f'{" | ".join(flags) or 0}, {field.versions[0]}, {field.versions[1]}, {field.nullable_from}, {field.tag}, '
            f'{field.tagged_from}, sizeof({c_type}), INT64_C({number}), {sub}}},')


def desc_source(messages, apis):
    out = banner('Descriptor tables of all messages, and the table of APIs.')
    out += ['#include "protocol/generated/messages.h"', '', '/* clang-format off */']
    for message in messages:
        for struct in message.structs:
            short, count = struct.cname, len(struct.fields)
            out += [f'static const kp_field_desc {short}_fields[] = {{']
            out += [field_row(field, struct, message) for field in struct.fields] + ['};']
            out += [f'const kp_struct_desc {short}_desc = {{"{short[3:]}", {short}_fields, '
                    f'{count}, sizeof({short}), offsetof({short}, unknown_tags), {message.wire_min(struct)}}};']
        flexible = 'KP_VERSION_MAX' if message.flexible == VERSION_MAX else message.flexible
        out += [f'const kp_message {message.cname}_message = {{"{message.name}", &{message.cname}_desc, '
                f'{message.versions[0]}, {message.versions[1]}, {flexible}}};', '']
    out += ['const kp_api kp_api_table[KP_API_COUNT] = {']
    for api in apis:
        listeners = ' | '.join(LISTENERS[word] for word in api.listeners)
        out.append(f'    {{{api.key}, "{api.name}", &{api.request.cname}_message, &{api.response.cname}_message, '
                   f'KP_ROUTE_{api.route.upper()}, {api.stable_max}, {listeners}}},')
    index = {api.key: i for i, api in enumerate(apis)}
    out += ['};', '', 'const int8_t kp_api_index[KP_API_KEY_MAX + 1] = {']
    out += [f'    {index.get(key, -1)},' for key in range(apis[-1].key + 1)] + ['};', '']
    out += ['const kp_message *const kp_data_messages[] = {']
    out += [f'    &{message.cname}_message,' for message in messages if message.kind == 'data'] + ['    NULL,', '};']
    return out + ['/* clang-format on */']


def errors_source(errors):
    out = banner("Facts about Kafka's error codes.")
    out += ['#include "protocol/generated/errors.h"', '', '/* clang-format off */',
            'const kp_error_info kp_error_table[KP_ERROR_COUNT] = {']
    for code, name, flags in errors:
        out.append(f'    {{{code}, {" | ".join("KC_ERRF_" + flag for flag in flags) or 0}, "{name}"}},')
    return out + ['};', '/* clang-format on */']


def errors_header(errors):
    out = banner("The table of Kafka's error codes, without a gap from the first on.")
    return out + ['#ifndef KP_GENERATED_ERRORS_H', '#define KP_GENERATED_ERRORS_H', '', '#include "protocol/api.h"', '',
                  f'#define KP_ERROR_FIRST ({errors[0][0]})', f'#define KP_ERROR_COUNT {len(errors)}', '',
                  'extern const kp_error_info kp_error_table[KP_ERROR_COUNT];', '', '#endif']


def main():
    messages, apis = parse_schema()
    errors = parse_errors()
    files = {
        'include/kafkac/unstable/messages.h': public_messages(messages, apis),
        'include/kafkac/unstable/errors.h': public_errors(errors),
        'generated/messages.h': internal_messages(messages, apis),
        'generated/desc.c': desc_source(messages, apis),
        'generated/errors.h': errors_header(errors),
        'generated/errors.c': errors_source(errors),
    }
    stale = []
    for name, lines in files.items():
        path, text = os.path.join(ROOT, name), '\n'.join(lines) + '\n'
        old = open(path, encoding='utf-8').read() if os.path.exists(path) else None
        if old != text:
            stale.append(name)
            if '--check' not in sys.argv:
                with open(path, 'w', encoding='utf-8') as handle:
                    handle.write(text)
    verb = 'stale' if '--check' in sys.argv else 'written'
    print(f'{len(messages)} messages, {len(apis)} APIs, {len(errors)} errors; {verb}: {" ".join(stale) or "none"}')
    return 1 if stale and '--check' in sys.argv else 0


if __name__ == '__main__':
    sys.exit(main())
