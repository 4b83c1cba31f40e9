#include "core/grid/join.h"

#include "core/grid/limits.h"
#include "core/grid/node.h"
#include "core/testing/queue_world.h"

namespace gantry {
namespace {

using testing_world::numbered_id;

class GridJoinTest : public ::testing::Test, public testing_world::QueueWorld {
 protected:
  static NodeId node(int number) { return numbered_id<NodeTag>(number); }
  Result<void> use(const std::string& token, int uses_max, NodeId by) {
    state::Transaction tx(state, now);
    auto used = grid::use_join_token(tx, {token, uses_max, token_end}, by);
    if (used) finish(tx);
    return used;
  }
  void remove(NodeId id) {
    state::Transaction tx(state, now);
    ASSERT_TRUE(grid::remove_node(tx, id));
    finish(tx);
  }
  bool expire() {
    state::Transaction tx(state, now);
    bool more = grid::expire_joins(tx);
    finish(tx);
    return more;
  }
  Time token_end = now + hours(1);
};

TEST_F(GridJoinTest, ATokenIsUsedUpByDifferentNodes) {
  EXPECT_TRUE(use("t", 2, node(1)));
  EXPECT_TRUE(use("t", 2, node(1))) << "the same one again";
  EXPECT_TRUE(use("t", 2, node(2)));
  auto third = use("t", 2, node(3));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code(), ErrorCode::not_authenticated);
  EXPECT_TRUE(use("t", 2, node(2)));
  EXPECT_TRUE(use("u", 1, node(3))) << "each token counts for itself";
  EXPECT_EQ(state.table<state::JoinToken>().find("t")->record.uses.size(), 2u);
}

TEST_F(GridJoinTest, ARemovedNodeMustNotUseItAgain) {
  NodeId id = add_node(1, 1000, "box");
  EXPECT_TRUE(use("t", 1, id));
  remove(id);
  EXPECT_FALSE(use("t", 1, id));
  now += hours(1);
  EXPECT_TRUE(use("fresh", 1, id));
  EXPECT_TRUE(use("fresh", 1, id)) << "that was after its removal";
}

TEST_F(GridJoinTest, CredentialsFromBeforeTheRemovalAreRevoked) {
  NodeId id = add_node(1, 1000, "box");
  std::string client = grid::node_client_id("prov/queue", "box");
  EXPECT_EQ(client, "node/prov/queue/box");
  auto start_of = [](Time issued) { return issued - grid::node_credentials_backdate; };
  EXPECT_FALSE(grid::is_revoked(state, client, start_of(now)));
  EXPECT_EQ(grid::may_issue_at(state, client, now), now);
  remove(id);
  EXPECT_TRUE(grid::is_revoked(state, client, start_of(now)));
  EXPECT_TRUE(grid::is_revoked(state, client, start_of(now - days(3))));
  EXPECT_FALSE(grid::is_revoked(state, grid::node_client_id("prov/queue", "box2"), start_of(now)));
  Time again = grid::may_issue_at(state, client, now - seconds(3));
  EXPECT_FALSE(grid::is_revoked(state, client, start_of(again)));
  now += days(2);
  EXPECT_EQ(grid::may_issue_at(state, client, now), now);
}

TEST_F(GridJoinTest, IsForgottenOnceItIsOfNoUse) {
  NodeId id = add_node(1, 1000, "box");
  ASSERT_TRUE(use("t", 1, node(2)));
  remove(id);
  now = token_end - milliseconds(1);
  EXPECT_FALSE(expire());
  EXPECT_EQ(state.table<state::JoinToken>().size(), 1u);
  now = token_end;
  EXPECT_FALSE(expire());
  EXPECT_EQ(state.table<state::JoinToken>().size(), 0u);
  EXPECT_EQ(state.table<state::RemovedNode>().size(), 1u);
  now += grid::node_credentials_life + grid::node_credentials_backdate;
  EXPECT_FALSE(expire());
  EXPECT_EQ(state.table<state::RemovedNode>().size(), 0u);
}

TEST_F(GridJoinTest, IsBounded) {
  for (std::size_t i = 0; i < grid::join_tokens_max; ++i) {
    state.load(state::JoinToken{std::to_string(i), {{node(1), now}}, token_end});
  }
  auto one_more = use("t", 1, node(1));
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code(), ErrorCode::unavailable);
  now = token_end;
  EXPECT_TRUE(expire()) << "in steps";
  EXPECT_TRUE(use("t", 1, node(1)));
}

}  // namespace
}  // namespace gantry
