#include <algorithm>
#include <sstream>

#include "plan.h"

namespace alcs {
namespace {

// "avx512_tile_8 on 12 blocks with 1840 columns x 5 tiles"
void DescribeTiles(const EnginePlan& plan, const std::vector<PackedRows>& packed,
                   std::ostream& text) {
  for (std::size_t i = 0; i < packed.size(); ++i) {
    text << (i > 0 ? " and " : "") << RowName(packed[i].kernel.row) << " on "
         << packed[i].blocks.size() << " blocks with " << packed[i].columns.size() << " columns x "
         << plan.rows[i].all.tiles.size() << " tiles";
    if (plan.rows[i].parts > 1) text << " in " << plan.rows[i].parts << " parts";
    if (plan.rows[i].tiles_at_once > 1) text << ", " << plan.rows[i].tiles_at_once << " at once";
  }
}

}  // namespace

std::string DescribePlan(const EnginePlan& plan, const std::vector<PackedRows>& packed) {
  std::ostringstream text;
  std::size_t tasks = 1;
  switch (plan.path) {
    case EnginePlan::Path::kReference:
      text << RowName(plan.main_row);
      break;
    case EnginePlan::Path::kDepthwise:
      text << RowName(plan.depthwise.row);
      tasks = plan.channel_tasks.size();
      break;
    case EnginePlan::Path::kDirect:
      DescribeTiles(plan, packed, text);
      text << ", input read in place";
      tasks = plan.tile_tasks.size();
      break;
    case EnginePlan::Path::kPlanes:
      DescribeTiles(plan, packed, text);
      text << ", " << RowName(plan.prepare.row) << " into "
           << plan.prepare_args.row_planes * plan.prepare_args.column_planes << " planes";
      if (plan.bands.count > 0) {
        text << ", " << plan.bands.count << " bands of " << plan.bands.rows << " rows";
        tasks = plan.bands.tasks.size();
      } else {
        tasks = plan.tile_tasks.size();
        text << (plan.workspaces > 1 ? " for each thread" : "");
      }
      break;
  }
  text << "; " << plan.out_height << " x " << plan.out_width << " outputs, " << tasks << " tasks, "
       << plan.scratch_bytes / 1024 << " KiB of scratch";
  return text.str();
}

}  // namespace alcs
