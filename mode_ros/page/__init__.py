"""The operator's page: a small web server beside an ordinary ROS client. What it says and does are topics and services.

Nothing here knows rclpy: mode_ros.nodes.page_node does, and gives the server what it shows.
"""
