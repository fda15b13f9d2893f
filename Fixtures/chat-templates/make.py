"""Chat templates in the manner of known models, and what the peer makes of messages with each.

    python Fixtures/chat-templates/make.py

needs pip transformers and jinja2; writes cases.json. With folders or files of templates as arguments it
writes to stdout instead what the peer makes of those.
"""

import datetime
import json
import pathlib
import sys

from jinja2.exceptions import TemplateError
from transformers.utils.chat_template_utils import _compile_jinja_template as compiled

HERE = pathlib.Path(__file__).parent

TEMPLATES = {
    "chatml": r"""{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "inst-2": r"""{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user/assistant/user/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "headers-3": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message comes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "turns": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}""",
    "turns-parts": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
""",
    "lines": """{% for message in messages %}
{% if message['role'] == 'system' %}
{{'<|system|>
' + message['content'] + '<|end|>
'}}
{% elif message['role'] == 'user' %}
{{'<|user|>
' + message['content'] + '<|end|>
'}}
{% elif message['role'] == 'assistant' %}
{{'<|assistant|>
' + message['content'] + '<|end|>
'}}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|assistant|>
' }}
{% else %}
{{ eos_token }}
{% endif %}
""",
    "thoughts": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "inst-tools": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
            {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" and message.content %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + (tool_call.id or "000000000") + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content|string + "}[/TOOL_RESULTS]" }}
    {%- endif %}
{%- endfor %}
""",
    "macros": """{%- macro kind(schema, nullable=false) -%}
    {%- if schema.type == "array" -%}
        {{- kind(schema["items"]) + "[]" }}
    {%- elif schema.enum -%}
        {{- '"' + schema.enum|join('" | "') + '"' }}
    {%- else -%}
        {{- schema.type|default("any", true) }}
    {%- endif -%}
    {%- if nullable %} | null{% endif -%}
{%- endmacro -%}
{% set names = [] -%}
{% for tool in tools or [] -%}
type {{ tool.function.name }} = (_: {
{% for name, schema in tool.function.parameters.properties|dictsort %}
  {{ name }}{{ "" if name in tool.function.parameters.required else "?" }}: {{ kind(schema, nullable=schema.nullable) }},{{ "" if loop.last else " //" }} {{ loop.index }}/{{ loop.length }}
{% else %}
  nothing
{% endfor -%}
}) => any;
{% endfor -%}
{% for message in messages %}{% generation %}{{ message.role|upper }}: {{ message.content }}{% endgeneration %}
{% endfor %}""",
    "blanks": "A  {%- set x = 1 -%}  B\n   {% if true %}  \n C \n   {% endif %}\n D{# gone #}\n  {#- gone -#}\n  E {{ x }}\n\n  {{- x -}}\n  F\n {%+ if true %}G{%+ endif +%}\nH\n",
    "operators": r"""{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 * 3 + 1 }} {{ 'ab' * 2 }} {{ 1 < 2 < 3 }} {{ 'a' ~ 1 ~ none ~ true ~ 1.5 }} {{ [1, 'two', 3.0, none, {'k': (1,)}] }} {{ "it's" }} {{ ["it's", 'q"', "b\\", "\n\u00e9\u200b"] }} {{ 1e16 if false else 1.0 }} {{ not 1 }} {{ 1 in [1, 2] }} {{ 'b' not in 'abc' }} {{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abcdef'[::-2] }}{{ 'abcdef'[-3:-1] }}{{ [1,2,3][5:] }} {{ undefined_name }}|{{ undefined_name is defined }} {{ none is none }} {{ 3 is odd }} {{ 6 is divisibleby 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'x' is in ['x'] }} {{ (1, 2) == [1, 2] }} {{ {} is mapping }} {{ (5 if false) is undefined }} {{ 2 - -1 }} {{ - 3|abs }} {{ 10|string|length }} {{ range(3)|list }} {{ range(5, 0, -2)|list }} {{ 1e15 }} {{ 1.5e-7 }} {{ 123456789.25 }} {{ 9007199254740993.0 }}""",
    "filters": r"""{{ '  a b '|trim }}|{{ 'heLLo wOrld-is'|title }}|{{ 'heLLo'|capitalize }}|{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a-b-c'.rsplit('-', 1) }}|{{ 'a-b-c'.split('-', 1) }}|{{ [3, 1, 2]|sort }}|{{ ['b', 'A', 'c']|sort|join(', ') }}|{{ [1, 2, 2, 1]|unique|list }}|{{ [1, 2, 3]|sum }}|{{ [1, 5, 2]|max }}|{{ [{'a': 1}, {'a': 2}]|map(attribute='a')|list }}|{{ ['a', 'b']|map('upper')|join }}|{{ [0, 1, '', 'x']|select|list }}|{{ [1, 2, 3]|reject('odd')|list }}|{{ [{'r': 1}, {'r': 2, 's': 1}]|selectattr('s', 'defined')|list }}|{{ 'x'|default('y') }}|{{ nothing|default('y') }}|{{ ''|default('z', true) }}|{{ {'b': 1, 'a': [true, none, 1.5, "é\"\\\n\u2028"]}|tojson }}|{{ {'b': {}, 'a': [1, []]}|tojson(indent=2) }}|{{ {'b': 1, 'a': 2}|tojson(sort_keys=true, separators=(',', ':')) }}|{{ 'a\nb\n\nc'|indent(2) }}|{{ 'aXbX'|replace('X', 'yy') }}|{{ 'aXbX'.replace('X', '', 1) }}|{{ '12'|int + 1 }}|{{ 'n'|int }}|{{ 3.7|int }}|{{ [1, 2, 3]|first }}{{ [1, 2, 3]|last }}|{{ 'abc'|reverse }}|{{ {'a': 1, 'b': 2}.items()|list }}|{{ {'a': 1}.get('b', 'no') }}|{{ {'a': 1}|items|list }}|{{ 'abc'.find('c') }}|{{ 'they are'.title() }}|{{ "o'neil x2y"|title }}|{{ "o'neil x2y".title() }}|{{ 'xxabxx'.strip('x') }}|{{ 'ß'.upper() }}|{{ 'a\nb\r\nc'.splitlines() }}|{{ 'prefix-a'.removeprefix('prefix-') }}|{{ ['x','y']|join('-') }}|{{ '-'.join(['x', 'y']) }}|{{ 'banana'.count('an') }}""",
    "dates": r"""{% if strftime_now is defined %}{{ strftime_now("%d %b %Y") }} {{ strftime_now("%Y-%m-%d %B %y %%") }}{% endif %}""",
    "loops": r"""{% for i in range(6) %}{% if i == 4 %}{% break %}{% endif %}{% if i is odd %}{% continue %}{% endif %}{{ i }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% set x = 'outer' %}{% for y in [1, 2] %}{{ x }}{% set x = 'inner' ~ y %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(n=0, found=false) %}{% for a, b in [(1, 2), (3, 4)] if b > 2 %}{% set ns.n = ns.n + a * b %}{{ loop.length }}{% endfor %}{{ ns.n }}
{% set block %}<{{ x }}>{% endset %}{{ block|length }}{{ block }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% for c in [] %}{% else %}empty{% endfor %}
{% for k in {'p': 1, 'q': 2} %}{{ k }}{% for l in 'xy' %}{{ k ~ l ~ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}""",
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a \"place\" <now> & then",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "Où?"},
                    "Days": {"type": "array", "items": {"type": "integer"}, "nullable": True},
                    "unit": {"enum": ["C", "F"]},
                },
                "required": ["place"],
            },
        },
    }
]
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"place": "Paris", "Days": [1, 2]}}}

CONVERSATIONS = {
    "one": {"messages": [{"role": "user", "content": "Hello, world"}]},
    "system": {"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi\n"}]},
    "several": {
        "messages": [
            {"role": "user", "content": "  What is 2+2?  "},
            {"role": "assistant", "content": "<think>\nsum\n</think>\n\n4 "},
            {"role": "user", "content": "日本語 🙂 <b>&</b>"},
        ]
    },
    "answered": {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "add_generation_prompt": False,
    },
    "tools": {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "{\"degrees\": 20}"},
            {"role": "assistant", "content": "20 degrees", "reasoning_content": "fine"},
            {"role": "user", "content": "Thanks"},
        ],
        "variables": {"tools": TOOLS},
    },
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " What is this? "}]}
        ]
    },
    "no-thoughts": {"messages": [{"role": "user", "content": "Hi"}], "variables": {"enable_thinking": False}},
    "wrong-order": {"messages": [{"role": "assistant", "content": "I"}, {"role": "assistant", "content": "II"}]},
}

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def answer(template, case):
    names = {"messages": case["messages"], "tools": None, "documents": None, **TOKENS}
    names["add_generation_prompt"] = case.get("add_generation_prompt", True)
    names.update(case.get("variables", {}))
    names["strftime_now"] = datetime.date(2024, 7, 6).strftime
    try:
        return {"text": compiled(template).render(**names)}
    except (TemplateError, TypeError) as error:
        return {"error": str(error)}


def main():
    named = {}
    for path in map(pathlib.Path, sys.argv[1:]):
        for file in sorted(path.glob("*.jinja")) if path.is_dir() else [path]:
            named[file.name] = file.read_text()
    templates = named or TEMPLATES
    answers = {
        name: {case: answer(source, CONVERSATIONS[case]) for case in CONVERSATIONS}
        for name, source in templates.items()
    }
    whole = {"special_tokens": TOKENS, "conversations": CONVERSATIONS, "templates": templates, "answers": answers}
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    if named:
        sys.stdout.write(text)
    else:
        (HERE / "cases.json").write_text(text)


main()
