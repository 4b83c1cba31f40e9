#include "core/grid/node.h"

#include "core/testing/queue_world.h"

namespace gantry {
namespace {

class NodeTest : public ::testing::Test, public testing_world::QueueWorld {
 protected:
  /// As "box", with an id of its own: what an agent is whose data directory was lost.
  state::Node twin_of(NodeId node) {
    state::Node twin = state.table<state::Node>().find(node)->record;
    twin.id = testing_world::numbered_id<NodeTag>(7777);
    return twin;
  }
  Result<void> enter(state::Node node, bool other_is_silent) {
    state::Transaction tx(state, now);
    auto done = grid::register_node(tx, std::move(node), other_is_silent);
    if (done) finish(tx);
    return done;
  }
};

TEST_F(NodeTest, ASilentNodesPlaceIsTakenOnceItHoldsNothing) {
  NodeId old_one = add_node(1, 1000, "box");
  state::Node fresh = twin_of(old_one);
  EXPECT_EQ(enter(fresh, false).error().code(), ErrorCode::conflict);
  ASSERT_TRUE(enter(fresh, true));
  EXPECT_FALSE(state.table<state::Node>().find(old_one));
  EXPECT_EQ(state.node_of_worker("group", "box"), fresh.id);
  EXPECT_TRUE(state.is_native_queue("prov/queue"));
}

TEST_F(NodeTest, ANodeThatHoldsARunKeepsItsPlace) {
  NodeId old_one = add_node(1, 1 << 30, "worker");
  create();
  claim(1, old_one);
  ASSERT_FALSE(state.allocations_on(old_one).empty());
  EXPECT_EQ(enter(twin_of(old_one), true).error().code(), ErrorCode::conflict);
  lose_node(old_one);
  EXPECT_TRUE(enter(twin_of(old_one), true));
}

TEST_F(NodeTest, IsRemovedOnlyWhenItHoldsNothing) {
  NodeId node = add_node(1, 1 << 30, "worker");
  create();
  claim(1, node);
  {
    state::Transaction tx(state, now);
    EXPECT_EQ(grid::remove_node(tx, node).error().code(), ErrorCode::conflict);
  }
  lose_node(node);
  {
    state::Transaction tx(state, now);
    ASSERT_TRUE(grid::remove_node(tx, node));
    finish(tx);
  }
  EXPECT_FALSE(state.is_native_queue("prov/queue"));
  state::Transaction tx(state, now);
  EXPECT_EQ(grid::remove_node(tx, node).error().code(), ErrorCode::not_found);
}

}  // namespace
}  // namespace gantry
