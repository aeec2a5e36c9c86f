select count(*) from agents;
