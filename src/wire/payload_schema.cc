// The table of payload keys as a JSON schema, and for people.
#include <fmt/format.h>

#include "wire/payload_keys.h"

namespace gantry::wire {
namespace {

using Type = ValueShape::Type;

void append_object(JsonWriter& out, const std::string& place);
void append_shape(JsonWriter& out, const ValueShape& shape, const std::string& path);

void append_text(JsonWriter& out, const TextForm& form) {
  out.field("type", "string");
  if (!form.words.empty()) {
    out.key("enum").begin_array();
    for (std::string_view word : form.words) out.string(word);
    out.end_array();
    return;
  }
  if (form.rule.characters_min > 0) out.field("minLength", static_cast<std::int64_t>(form.rule.characters_min));
  out.field("maxLength", static_cast<std::int64_t>(form.rule.characters_max));
  if (!form.pattern.empty()) out.field("pattern", form.pattern);
}

void append_bounds(JsonWriter& out, const ValueShape& shape, std::string_view type) {
  out.field("type", type).field("minimum", shape.min).field("maximum", shape.max);
}

void append_alternatives(JsonWriter& out, const ValueShape& shape) {
  out.key("oneOf").begin_array().begin_object();
  append_text(out, *shape.form);
  out.end_object();
  if (shape.type == Type::size) {
    out.begin_object();
    append_bounds(out, shape, "integer");
    out.end_object();
  }
  for (const PayloadKey& kind : payload_keys_at("image")) {
    if (shape.type != Type::image) continue;
    out.begin_object().field("title", kind.title).field("description", kind.description);
    append_object(out, fmt::format("image.{}", kind.key));
    out.end_object();
  }
  out.end_array();
}

void append_map(JsonWriter& out, const ValueShape& shape, const std::string& path) {
  out.field("type", "object").field("maxProperties", static_cast<std::int64_t>(shape.count_max));
  out.key("propertyNames").begin_object();
  append_text(out, *shape.form);
  out.end_object().key("additionalProperties").begin_object();
  if (shape.element) {
    append_shape(out, *shape.element, path);
  } else {
    append_object(out, path + ".*");
  }
  out.end_object();
}

void append_shape(JsonWriter& out, const ValueShape& shape, const std::string& path) {
  switch (shape.type) {
    case Type::boolean: out.field("type", "boolean"); break;
    case Type::integer: append_bounds(out, shape, "integer"); break;
    case Type::number: append_bounds(out, shape, "number"); break;
    case Type::text: append_text(out, *shape.form); break;
    case Type::time: out.field("type", "string").field("format", "date-time"); break;
    case Type::size:
    case Type::image: append_alternatives(out, shape); break;
    case Type::map: append_map(out, shape, path); break;
    case Type::object: append_object(out, path); break;
    case Type::list:
      out.field("type", "array").field("maxItems", static_cast<std::int64_t>(shape.count_max));
      out.key("items").begin_object();
      append_shape(out, *shape.element, path);
      out.end_object();
      break;
  }
}

void append_object(JsonWriter& out, const std::string& place) {
  out.field("type", "object").key("properties").begin_object();
  for (const PayloadKey& key : payload_keys_at(place)) {
    out.key(key.key).begin_object().field("title", key.title).field("description", key.description);
    if (!key.otherwise.empty()) out.key("default").raw(key.otherwise);
    append_shape(out, key.shape, place.empty() ? std::string(key.key) : fmt::format("{}.{}", place, key.key));
    out.end_object();
  }
  out.end_object().field("additionalProperties", false).key("required").begin_array();
  for (const PayloadKey& key : payload_keys_at(place)) {
    if (key.required) out.string(key.key);
  }
  out.end_array();
}

/// What holds without the key, as it is typed.
std::string otherwise_of(const PayloadKey& key) {
  if (key.required) return "required";
  if (key.shape.type == Type::object) return "";
  if (key.otherwise.empty() || key.otherwise == "[]" || key.otherwise == "{}") return "none";
  return fmt::format("`{}`", key.otherwise);
}

}  // namespace

std::string payload_schema() {
  std::string schema;
  JsonWriter out(schema);
  out.begin_object().field("$id", fmt::format("/schemas/{}#", payload_schema_path));
  out.field("$schema", "/schemas/common/metaschema.json#").field("title", "Payload");
  out.field("description", "What a task asks of the agent that runs it.");
  append_object(out, "");
  out.end_object();
  return schema;
}

std::string payload_keys_markdown() {
  std::string text = "| key | meaning | default | scopes |\n|---|---|---|---|\n";
  for (const PayloadKey& key : payload_keys()) {
    std::string scopes = key.scopes.empty() ? "" : fmt::format("`{}`", key.scopes);
    text += fmt::format("| `{}` | {} | {} | {} |\n", key.path(), key.description, otherwise_of(key), scopes);
  }
  return text;
}

std::string payload_keys_json() {
  std::string text;
  JsonWriter out(text);
  out.begin_array();
  for (const PayloadKey& key : payload_keys()) {
    out.begin_object().field("name", key.path()).field("title", key.title).field("description", key.description);
    out.field("required", key.required).key("default").raw(key.otherwise.empty() ? "null" : key.otherwise);
    if (!key.scopes.empty()) out.field("scopes", key.scopes);
    out.end_object();
  }
  out.end_array();
  return text;
}

}  // namespace gantry::wire
