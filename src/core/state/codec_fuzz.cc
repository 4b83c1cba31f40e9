// Stored records from arbitrary bytes: no crash, the errors that are promised, and what is read is written and read
// again as the same.
#include "core/state/codec.h"

namespace {

using namespace gantry;

template <class Decode>
void check(std::string_view bytes, Decode decode) {
  auto record = decode(bytes);
  if (!record) {
    bool promised = record.error().code() == ErrorCode::corrupt || record.error().code() == ErrorCode::unsupported;
    if (!promised) __builtin_trap();
    return;
  }
  std::string once = encode(record.value());
  auto again = decode(once);
  if (!again || encode(again.value()) != once) __builtin_trap();
}

template <class Record>
void check_plain(std::string_view bytes, const char* name) {
  check(bytes, [name](std::string_view text) { return state::decode<Record>({1, name}, text); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 17) {
    case 0: check(bytes, [](std::string_view text) { return state::decode_task(1, text); }); break;
    case 1: check(bytes, [](std::string_view text) { return state::decode_artifact(1, text); }); break;
    case 2: check(bytes, [](std::string_view text) { return state::decode_allocation(1, text); }); break;
    case 3: check(bytes, [](std::string_view text) { return state::decode_node(text); }); break;
    case 4: check_plain<state::Group>(bytes, "fN1SbArXTPSVFNUvaOlinQ"); break;
    case 5: check_plain<state::Work>(bytes, ""); break;
    case 6: check_plain<state::Client>(bytes, "client"); break;
    case 7: check_plain<state::Role>(bytes, "role"); break;
    case 8: check_plain<state::Secret>(bytes, "secret"); break;
    case 9: check_plain<state::Worker>(bytes, "p/w/group/id"); break;
    case 10: check_plain<state::TaskQueue>(bytes, "p/w"); break;
    case 11: check_plain<state::IndexedTask>(bytes, "a.b/c"); break;
    case 12: check_plain<state::IndexNamespace>(bytes, "a/b"); break;
    case 13: check_plain<state::StoredObject>(bytes, "object"); break;
    case 14: check_plain<state::PurgeRequest>(bytes, "p/w/cache"); break;
    case 15: check_plain<state::JoinToken>(bytes, "token"); break;
    default: check_plain<state::RemovedNode>(bytes, "node/x"); break;
  }
  return 0;
}
