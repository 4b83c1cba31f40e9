#include "core/state/codec.h"
#include "core/state/stored.h"

namespace gantry::state {

std::string encode(const JoinToken& token) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_time(out, "expires", token.expires);
  out.key("uses").begin_array();
  for (const JoinToken::Use& use : token.uses) {
    out.begin_object();
    add_slug(out, "node", use.node);
    add_time(out, "at", use.at);
    out.end_object();
  }
  out.end_array().end_object();
  return bytes;
}

template <>
Result<JoinToken> decode<JoinToken>(const Key& key, std::string_view bytes) {
  Stored stored("join token", bytes);
  JoinToken token;
  token.id = key.name;
  token.expires = stored.time("expires");
  const json::value* list = stored.find("uses");
  const json::array* uses = list ? list->if_array() : nullptr;
  if (!uses) stored.damage("uses");
  for (std::size_t i = 0; uses && i < uses->size(); ++i) {
    stored.use((*uses)[i]);
    JoinToken::Use use;
    use.node = stored.slug<NodeTag>("node");
    use.at = stored.time("at");
    token.uses.push_back(use);
  }
  return stored.finish(std::move(token));
}

std::string encode(const RemovedNode& node) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_slug(out, "node", node.node);
  add_time(out, "removed", node.removed);
  add_time(out, "expires", node.expires);
  out.end_object();
  return bytes;
}

template <>
Result<RemovedNode> decode<RemovedNode>(const Key& key, std::string_view bytes) {
  Stored stored("removed node", bytes);
  RemovedNode node;
  node.client_id = key.name;
  node.node = stored.slug<NodeTag>("node");
  node.removed = stored.time("removed");
  node.expires = stored.time("expires");
  return stored.finish(std::move(node));
}

}  // namespace gantry::state
