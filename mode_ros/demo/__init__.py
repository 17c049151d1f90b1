"""The main job shown in one command: simulation, policy and controller as processes over DDS, watched and filmed."""
