// What a machine that joins and the server say to each other, from arbitrary bytes: no crash, and what is read is
// written and read again as the same.
#include <cstddef>
#include <cstdint>

#include "wire/join_messages.h"
#include "wire/task_definition.h"

namespace gantry::wire {
namespace {

template <class Message>
void check_same(Result<Message> (*parse)(std::string_view), const Message& message) {
  std::string once = to_json(message);
  auto again = parse(once);
  GANTRY_ASSERT(again && to_json(again.value()) == once);
}

}  // namespace
}  // namespace gantry::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::wire;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto request = parse_join_request(text)) {
    const JoinRequest& found = request.value();
    GANTRY_ASSERT(!found.token.empty() && found.token.size() <= join_token_bytes_max);
    GANTRY_ASSERT(found.worker_id.empty() || is_identifier(found.worker_id));
    check_same(parse_join_request, found);
  }
  if (auto enrolment = parse_enrolment(text)) {
    const Enrolment& found = enrolment.value();
    GANTRY_ASSERT(is_task_queue_id(found.task_queue) && is_identifier(found.worker_group));
    GANTRY_ASSERT(is_identifier(found.worker_id) && !found.credentials.client_id.empty());
    found.renew_at();
    check_same(parse_enrolment, found);
  }
  return 0;
}
