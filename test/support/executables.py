"""What an installation has to have."""

EXECUTABLES = {
    'mode_ros',
    'policy_node',
    'controller_node',
    'sim_node',
    'teleop_node',
    'recorder_node',
    'goals_node',
    'page_node',
    'view_node',
}
