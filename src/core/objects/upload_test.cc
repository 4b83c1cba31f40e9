#include "core/objects/upload.h"

#include <gtest/gtest.h>

#include "core/state/codec.h"

namespace gantry::objects {
namespace {

using state::StoredObject;

const Time start = time_from_ms(1'795'132'800'000);
const std::string right256(64, 'a');
const std::string right512(128, 'b');
const std::string wrong256(64, 'c');

class UploadTest : public testing::Test {
 protected:
  /// The error's code, or nothing if there was none; what was done is kept only then.
  template <class Act>
  std::optional<ErrorCode> act(Act what) {
    state::Transaction tx(state, now);
    auto result = what(tx);
    if (!result) return result.error().code();
    tx.take();
    return std::nullopt;
  }
  std::optional<ErrorCode> begin(const UploadRequest& wanted) {
    return act([&](state::Transaction& tx) { return begin_upload(tx, wanted); });
  }
  std::optional<ErrorCode> receive(std::string id = "id") {
    return act([&](state::Transaction& tx) { return note_received(tx, "x/y", id, 5, {right256, right512}); });
  }
  std::optional<ErrorCode> finish(Hashes hashes = {}, std::string id = "id", std::string project = "p") {
    return act([&](state::Transaction& tx) { return finish_upload(tx, "x/y", project, id, hashes); });
  }
  std::optional<ErrorCode> find() {
    return act([&](state::Transaction& tx) { return find_object(tx, "x/y"); });
  }
  UploadRequest request{"x/y", "p", "id", start + days(10), {}};

  state::State state;
  Time now = start;
};

TEST_F(UploadTest, BeginReceiveFinishRead) {
  EXPECT_EQ(begin(request), std::nullopt);
  EXPECT_EQ(find(), ErrorCode::not_found);
  EXPECT_EQ(finish(), ErrorCode::conflict);
  EXPECT_EQ(receive(), std::nullopt);
  EXPECT_EQ(find(), ErrorCode::not_found);
  EXPECT_EQ(finish({right256, {}}), std::nullopt);
  EXPECT_EQ(find(), std::nullopt);
  EXPECT_EQ(finish({right256, right512}), std::nullopt);
  EXPECT_EQ(finish({wrong256, {}}), ErrorCode::conflict);
}

TEST_F(UploadTest, TheFirstToBeginChooses) {
  EXPECT_EQ(begin(request), std::nullopt);
  EXPECT_EQ(begin(request), std::nullopt);
  for (auto change : std::vector<std::function<void(UploadRequest&)>>{
           [](UploadRequest& r) { r.upload_id = "other"; }, [](UploadRequest& r) { r.project = "other"; },
           [](UploadRequest& r) { r.expires += seconds(1); }}) {
    UploadRequest other = request;
    change(other);
    EXPECT_EQ(begin(other), ErrorCode::conflict);
  }
  EXPECT_EQ(receive("other"), ErrorCode::conflict);
  receive();
  EXPECT_EQ(finish({}, "other"), ErrorCode::conflict);
  EXPECT_EQ(finish({}, "id", "other"), ErrorCode::invalid_input);
  EXPECT_EQ(finish(), std::nullopt);
  EXPECT_EQ(begin(request), ErrorCode::conflict);
  EXPECT_EQ(receive(), ErrorCode::conflict);
}

TEST_F(UploadTest, HashesMustBeThoseOfTheBytes) {
  request.hashes.sha256 = right256;
  EXPECT_EQ(begin(request), std::nullopt);
  UploadRequest other = request;
  other.hashes.sha256 = wrong256;
  EXPECT_EQ(begin(other), ErrorCode::conflict);
  receive();
  EXPECT_EQ(finish({wrong256, {}}), ErrorCode::conflict);
  EXPECT_EQ(finish({right256, std::string(128, 'd')}), ErrorCode::invalid_input);
  EXPECT_EQ(find(), ErrorCode::not_found);
  EXPECT_EQ(finish({{}, right512}), std::nullopt);
}

TEST_F(UploadTest, BytesThatAreNotWhatWasClaimedFirst) {
  request.hashes.sha256 = wrong256;
  begin(request);
  receive();
  EXPECT_EQ(finish(), ErrorCode::invalid_input);
}

TEST_F(UploadTest, UnfinishedOnesEndAfterADayFinishedOnesWhenTheyExpire) {
  begin(request);
  now = start + upload_term - Duration(1);
  EXPECT_EQ(receive(), std::nullopt);
  now = start + upload_term;
  EXPECT_EQ(receive(), ErrorCode::not_found);
  EXPECT_EQ(finish(), ErrorCode::not_found);
  now = start;
  EXPECT_EQ(finish(), std::nullopt);
  now = start + days(10) - Duration(1);
  EXPECT_EQ(find(), std::nullopt);
  {
    state::Transaction tx(state, now);
    EXPECT_FALSE(erase_expired(tx, "x/y"));
  }
  now = start + days(10);
  EXPECT_EQ(find(), ErrorCode::not_found);
  state::Transaction tx(state, now);
  EXPECT_TRUE(erase_expired(tx, "x/y"));
}

TEST_F(UploadTest, NamesAndTimesAreChecked) {
  for (std::string bad : {std::string(), std::string("ä"), std::string("a\nb"), std::string(name_bytes_max + 1, 'x')}) {
    request.name = bad;
    EXPECT_EQ(begin(request), ErrorCode::invalid_input);
  }
  request.name = std::string(name_bytes_max, 'x');
  EXPECT_EQ(begin(request), std::nullopt);
  request = {"x/y", "p", "id", now, {}};
  EXPECT_EQ(begin(request), ErrorCode::invalid_input);
}

TEST_F(UploadTest, RecordsComeBackFromTheirText) {
  begin(request);
  receive();
  finish({right256, right512});
  const StoredObject& object = state.table<StoredObject>().find("x/y")->record;
  auto again = state::decode<StoredObject>(StoredObject::store_key("x/y"), encode(object));
  ASSERT_TRUE(again);
  EXPECT_EQ(encode(again.value()), encode(object));
  EXPECT_TRUE(again.value().finished);
  EXPECT_EQ(again.value().name, "x/y");
}

}  // namespace
}  // namespace gantry::objects
